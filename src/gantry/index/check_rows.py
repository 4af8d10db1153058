"""What must not exist in the index: a query for each that finds it."""

# ruff: noqa: S608 - queries are made of the constants of these modules alone
from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from gantry.findings import Finding, Kind
from gantry.index.check_counts import ALIVE
from gantry.index.temporary_tables import stream


def _lacks(number: str, table: str) -> str:
    """Whether there is no row with a number. PostgreSQL has no good way for NOT IN with many of them."""
    return f"NOT EXISTS (SELECT 1 FROM {table} AS other WHERE other.id = {number})"


_OF_NO_SEGMENT = f"segment_id IS NOT NULL AND {_lacks('instance.segment_id', 'segment')}"
KEY = "CASE WHEN segment_id IS NULL THEN blob_key ELSE segment.key || '@' || segment_offset || '+' || size END"
_JOIN = "FROM instance JOIN series ON series.id = series_id LEFT JOIN segment ON segment.id = segment_id"
_PATH = (
    "(SELECT 'studies/' || study_instance_uid || '/series/' || series_instance_uid FROM series JOIN study "
    "ON study.id = series.study_id WHERE series.id = instance.series_id) || '/instances/' || sop_instance_uid"
)

_WRONG: dict[str, tuple[Kind, str]] = {
    "a store without its dataset": (
        Kind.ROW_WRONG,
        f"SELECT 'store ' || id FROM dicom_store WHERE NOT deleted AND {_lacks('dicom_store.dataset_id', 'dataset')}",
    ),
    "a study without its store": (
        Kind.ROW_WRONG,
        f"SELECT 'study ' || id FROM study WHERE {_lacks('study.store_id', 'dicom_store')}",
    ),
    "a series without its study": (
        Kind.ROW_WRONG,
        f"SELECT 'series ' || id FROM series WHERE {_lacks('series.study_id', 'study')}",
    ),
    "a series in another store than its study": (
        Kind.ROW_WRONG,
        "SELECT 'series ' || series.id FROM series JOIN study ON study.id = series.study_id "
        "WHERE series.store_id <> study.store_id",
    ),
    "an instance without its series": (
        Kind.ROW_WRONG,
        "SELECT 'series ' || series_id || ', instance ' || sop_instance_uid FROM instance "
        f"WHERE {_lacks('instance.series_id', 'series')}",
    ),
    "an instance with the header pack of another series": (
        Kind.HEADER_WRONG,
        f"SELECT {_PATH} FROM instance JOIN header_pack ON header_pack.id = pack_id "
        "WHERE header_pack.series_id NOT IN (instance.series_id, 0)",
    ),
    "a header pack without its series": (
        Kind.HEADER_WRONG,
        f"SELECT 'header pack ' || id FROM header_pack WHERE series_id <> 0 "
        f"AND {_lacks('header_pack.series_id', 'series')}",
    ),
    "a header pack that no instance uses": (
        Kind.HEADER_WRONG,
        "SELECT 'header pack ' || id FROM header_pack WHERE (series_id = 0 OR series_id IN (SELECT id FROM series "
        f"WHERE store_id {ALIVE})) AND id IN (SELECT id FROM header_pack EXCEPT SELECT pack_id FROM instance)",
    ),
    "counts of a series that does not exist": (
        Kind.COUNT_WRONG,
        f"SELECT 'series ' || series_id FROM series_tally WHERE {_lacks('series_tally.series_id', 'series')}",
    ),
    "counts of a store that does not exist": (
        Kind.COUNT_WRONG,
        f"SELECT 'store ' || store_id FROM tally WHERE {_lacks('tally.store_id', 'dicom_store')}",
    ),
    "a study of a living store without series": (
        Kind.ROW_WRONG,
        f"SELECT 'study ' || id FROM study WHERE store_id {ALIVE} AND NOT EXISTS "
        "(SELECT 1 FROM series WHERE series.study_id = study.id)",
    ),
    "a series of a living store without instances": (
        Kind.ROW_WRONG,
        f"SELECT 'series ' || id FROM series WHERE store_id {ALIVE} AND NOT EXISTS "
        "(SELECT 1 FROM instance WHERE series_id = series.id)",
    ),
    "garbage that an instance needs": (
        Kind.ROW_WRONG,
        f"SELECT blob_key FROM garbage WHERE blob_key IN (SELECT {KEY} {_JOIN} WHERE series.store_id {ALIVE})",
    ),
    "a segment in garbage": (Kind.SEGMENT_WRONG, "SELECT key FROM segment JOIN garbage ON blob_key = key"),
    "a sealed segment of which nothing is left": (
        Kind.SEGMENT_WRONG,
        "SELECT key FROM segment WHERE sealed AND live_instances = 0",
    ),
    "an instance in a segment that does not exist": (
        Kind.SEGMENT_WRONG,
        f"SELECT {_PATH} FROM instance WHERE {_OF_NO_SEGMENT}",
    ),
    "an instance in a segment and outside": (
        Kind.ROW_WRONG,
        f"SELECT {_PATH} FROM instance WHERE (segment_id IS NULL) <> (segment_offset IS NULL) "
        "OR (segment_id IS NULL) = (blob_key = '')",
    ),
    "an instance beyond the end of its segment": (
        Kind.SEGMENT_WRONG,
        f"SELECT {_PATH} FROM instance JOIN segment ON id = segment_id WHERE segment_offset + size > bytes",
    ),
    "a segment that nobody will seal": (
        Kind.SEGMENT_WRONG,
        f"SELECT key FROM segment WHERE NOT sealed AND {_lacks('segment.store_id', 'dicom_store')}",
    ),
    "an operation without its dataset": (
        Kind.ROW_WRONG,
        f"SELECT 'operation ' || id FROM operation WHERE dataset_id <> 0 "
        f"AND {_lacks('operation.dataset_id', 'dataset')}",
    ),
    "a hidden operation that is not done": (
        Kind.ROW_WRONG,
        "SELECT 'operation ' || id FROM operation WHERE dataset_id = 0 AND end_time IS NULL",
    ),
    "an entry of a log without its operation": (
        Kind.ROW_WRONG,
        f"SELECT DISTINCT 'operation ' || operation_id FROM failure "
        f"WHERE {_lacks('failure.operation_id', 'operation')}",
    ),
    "progress without its operation": (
        Kind.ROW_WRONG,
        f"SELECT DISTINCT 'operation ' || operation_id FROM progress "
        f"WHERE {_lacks('progress.operation_id', 'operation')}",
    ),
    "a selection without its operation": (
        Kind.ROW_WRONG,
        f"SELECT DISTINCT 'operation ' || operation_id FROM selection "
        f"WHERE {_lacks('selection.operation_id', 'operation')}",
    ),
    "a saved search without its store": (
        Kind.ROW_WRONG,
        f"SELECT name FROM saved_search WHERE {_lacks('saved_search.store_id', 'dicom_store')}",
    ),
}


def find_wrong_rows(connection: Connection) -> Iterator[Finding]:
    for what, (kind, query) in _WRONG.items():
        for (name,) in stream(connection, query):
            yield Finding(kind, str(name), f"there is {what}")


_OVERLAPS = f"""
    SELECT path, before FROM (
        SELECT {_PATH} AS path, segment_offset AS start,
        lag((segment_offset + size + 4095) / 4096 * 4096)
        OVER (PARTITION BY segment_id ORDER BY segment_offset) AS before
        FROM instance WHERE segment_id IS NOT NULL
    ) AS places WHERE before > start
"""
_TWICE = (
    f"SELECT {_PATH} FROM instance WHERE segment_id IS NULL AND blob_key IN "
    "(SELECT blob_key FROM instance WHERE segment_id IS NULL GROUP BY 1 HAVING count(*) > 1)"
)


def find_overlaps(connection: Connection) -> Iterator[Finding]:
    for path, _ in stream(connection, _OVERLAPS):
        yield Finding(Kind.SEGMENT_WRONG, str(path), "its place in its segment begins inside of the instance before it")
    for (path,) in stream(connection, _TWICE):
        yield Finding(Kind.ROW_WRONG, str(path), "another instance has the same file")
