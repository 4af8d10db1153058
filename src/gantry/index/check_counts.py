"""Counts that are kept, compared with the rows that they count. The database does it all, so memory does not grow."""

# ruff: noqa: S608 - queries are made of the constants of these modules alone
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection

from gantry.findings import Finding, Kind
from gantry.index.temporary_tables import stream

ALIVE = "IN (SELECT id FROM dicom_store WHERE NOT deleted)"
_ROWS = "FROM instance JOIN series ON series.id = series_id"
_STORE = (
    "coalesce((SELECT 'projects/' || project || '/locations/' || location || '/datasets/' || dataset "
    "|| '/dicomStores/' || store FROM dicom_store JOIN dataset ON dataset.id = dataset_id WHERE dicom_store.id = a), "
    "'store ' || a)"
)
_STUDY = "coalesce((SELECT 'studies/' || study_instance_uid FROM study WHERE study.id = a), 'study ' || a)"
_SERIES = (
    "coalesce((SELECT 'studies/' || study_instance_uid || '/series/' || series_instance_uid FROM series "
    "JOIN study ON study.id = series.study_id WHERE series.id = a), 'series ' || a)"
)


class _Count(NamedTuple):
    """``counted`` and ``kept`` have two columns of keys (``a`` and ``b``), then ``values``. ``name`` is what a row is
    called."""

    values: tuple[str, ...]
    counted: str
    kept: str
    name: str


_SIZES = ("instances", "bytes")
_COUNTS = (
    _Count(
        _SIZES,
        f"SELECT store_id, storage_class, count(*), sum(size) {_ROWS} WHERE store_id {ALIVE} GROUP BY 1, 2",
        f"SELECT store_id, storage_class, instances, blob_bytes FROM tally WHERE store_id {ALIVE}",
        f"{_STORE} || ', ' || b",
    ),
    _Count(
        _SIZES,
        f"SELECT series_id, storage_class, count(*), sum(size) {_ROWS} WHERE store_id {ALIVE} GROUP BY 1, 2",
        "SELECT series_id, storage_class, instances, series_tally.blob_bytes FROM series_tally JOIN series "
        f"ON series.id = series_id WHERE store_id {ALIVE}",
        f"{_SERIES} || ', ' || b",
    ),
    _Count(
        ("instances", "bytes", "bytes of headers"),
        "SELECT series_id, '', count(*), sum(size), sum(instance.structured_size) "
        f"{_ROWS} WHERE store_id {ALIVE} GROUP BY 1",
        f"SELECT id, '', instance_count, blob_bytes, structured_bytes FROM series WHERE store_id {ALIVE}",
        _SERIES,
    ),
    _Count(
        ("series", "instances"),
        f"SELECT study_id, '', count(DISTINCT series_id), count(*) {_ROWS} WHERE store_id {ALIVE} GROUP BY 1",
        f"SELECT id, '', series_count, instance_count FROM study WHERE store_id {ALIVE}",
        _STUDY,
    ),
    # Also what was deleted from its store, until its rows are gone.
    _Count(
        ("instances", "bytes in blocks"),
        "SELECT segment_id, '', count(*), sum((size + 4095) / 4096 * 4096) FROM instance "
        "WHERE segment_id IS NOT NULL GROUP BY 1",
        "SELECT id, '', live_instances, live_bytes FROM segment",
        "coalesce((SELECT key FROM segment WHERE id = a), 'segment ' || a)",
    ),
)


def find_wrong_counts(connection: Connection) -> Iterator[Finding]:
    for count in _COUNTS:
        for row in stream(connection, _compare(count)):
            name, numbers = row[0], list(zip(row[1::2], row[2::2], strict=True))
            wrong = [
                f"{said} {what} are counted, the rows have {there}"
                for what, (there, said) in zip(count.values, numbers, strict=True)
                if there != said
            ]
            yield Finding(Kind.COUNT_WRONG, name, "; ".join(wrong))


def _compare(count: _Count) -> str:
    """Both sides added up by key: SQLite before 3.39 has no full join."""
    names = [f"v{number}" for number in range(len(count.values))]
    there = ", ".join(f"{name} AS {name}_rows, 0 AS {name}_kept" for name in names)
    said = ", ".join(f"0 AS {name}_rows, {name} AS {name}_kept" for name in names)
    columns = ", ".join(("a", "b", *names))
    zeros = ", ".join(f"0 AS {name}" for name in names)
    head = f"SELECT CAST(NULL AS BIGINT) AS a, CAST(NULL AS TEXT) AS b, {zeros} WHERE false"
    sides = (f"({head} UNION ALL {count.counted})", f"({head} UNION ALL {count.kept})")
    rows = f"SELECT a, b, {there} FROM (SELECT {columns} FROM {sides[0]} AS side) AS there"
    rows += f" UNION ALL SELECT a, b, {said} FROM (SELECT {columns} FROM {sides[1]} AS side) AS said"
    sums = ", ".join(f"sum({name}_rows), sum({name}_kept)" for name in names)
    differ = " OR ".join(f"sum({name}_rows) <> sum({name}_kept)" for name in names)
    return f"SELECT {count.name}, {sums} FROM ({rows}) AS both_sides GROUP BY a, b HAVING {differ}"
