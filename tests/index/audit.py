"""Do the counts that the index keeps agree with its rows?"""

from __future__ import annotations

from sqlalchemy import Connection, text

_ROWS = "FROM instance JOIN series ON series.id = series_id JOIN study ON study.id = series.study_id"
_ALIVE = "IN (SELECT id FROM dicom_store WHERE NOT deleted)"
# What is counted → the rows, and what the index says of them. Those below a deleted store count no more.
_COUNTS = {
    "a store, by class": (
        "SELECT study.store_id, storage_class, count(*), sum(size) "
        f"{_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1, 2",
        "SELECT store_id, storage_class, sum(instances) n, sum(blob_bytes) b FROM tally "
        f"WHERE store_id {_ALIVE} GROUP BY 1, 2 HAVING n OR b",
    ),
    "a series, by class": (
        f"SELECT series_id, storage_class, count(*), sum(size) {_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1, 2",
        "SELECT series_id, storage_class, instances, series_tally.blob_bytes FROM series_tally JOIN series "
        f"ON series.id = series_id WHERE store_id {_ALIVE} AND (instances OR series_tally.blob_bytes)",
    ),
    "a series": (
        "SELECT series_id, study.store_id, count(*), sum(size), sum(instance.structured_size) "
        f"{_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1",
        f"SELECT id, store_id, instance_count, blob_bytes, structured_bytes FROM series WHERE store_id {_ALIVE}",
    ),
    "a study": (
        f"SELECT study.id, count(DISTINCT series_id), count(*) {_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1",
        f"SELECT id, series_count, instance_count FROM study WHERE store_id {_ALIVE}",
    ),
}


def audit(connection: Connection) -> None:
    for what, (counted, kept) in _COUNTS.items():
        rows, said = (sorted(map(tuple, connection.execute(text(query)))) for query in (counted, kept))
        assert said == rows, f"the counts of {what} are not those of the rows"
