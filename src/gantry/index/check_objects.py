"""Which instances each object of the storage holds, in the order of a listing of the storage."""

# ruff: noqa: S608 - queries are made of the constants of these modules alone
from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection

from gantry.index.check_counts import ALIVE
from gantry.index.check_rows import KEY
from gantry.index.dialect import is_sqlite
from gantry.index.temporary_tables import INTEGER, TEXT, execute, make_table, note_contents
from gantry.index_protocols.checks import HeldBlob, HeldBlobs

# There is no index by key, so the database sorts the rows once, in a table of the connection alone.
# They are read afterwards some at a time, with what they say then: no moment of the index is kept for long.
_COLUMNS = {"key": TEXT, "series_id": INTEGER, "sop_instance_uid": TEXT}
_OBJECTS = f"""
    INSERT INTO object SELECT coalesce(segment.key, blob_key), series_id, sop_instance_uid FROM instance
    JOIN series ON series.id = series_id LEFT JOIN segment ON segment.id = segment_id
    WHERE series.store_id {ALIVE} ORDER BY 1, 2, 3
"""
_ROWS = 2_000
"""Instances that are read at a time, with all others that the last of their objects holds."""
_END = f"SELECT max(key) FROM (SELECT key FROM object WHERE key > ? ORDER BY key LIMIT {_ROWS}) AS following"
_HELD = f"""
    SELECT object.key, {KEY}, size, series.store_id, study_instance_uid, series_instance_uid, sop_instance_uid
    FROM object CROSS JOIN instance USING (series_id, sop_instance_uid) JOIN series ON series.id = series_id
    JOIN study ON study.id = series.study_id LEFT JOIN segment ON segment.id = segment_id
    WHERE object.key > ? AND object.key <= ? AND coalesce(segment.key, blob_key) = object.key
    ORDER BY object.key, segment_offset
"""


def walk_objects(connection: Connection) -> Iterator[HeldBlobs]:
    make_table(connection, "object", _COLUMNS)
    execute(connection, _OBJECTS)
    note_contents(connection, "object")
    held = _HELD if is_sqlite(connection) else _HELD.replace("CROSS JOIN", "JOIN")  # SQLite's word for an order
    last = ""
    while (end := execute(connection, _END, (last,)).scalar()) is not None:
        for key, rows in groupby(execute(connection, held, (last, end)).all(), itemgetter(0)):
            yield HeldBlobs(key, [HeldBlob(row[1], row[2], row[3], (row[4], row[5], row[6])) for row in rows])
        last = end
