"""Where the bytes of an instance lie, as its row says it: an object of its own, or a place in a segment.

A row in a segment names it by number, so that it needs a few bytes instead of a key. This is the one place where keys
are put together (``BLOB_KEY``) and taken apart (``place_blobs``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, String, case, cast, select

from gantry.errors import Internal
from gantry.index.dialect import is_sqlite
from gantry.index.statements import FEW, Numbering, by_columns
from gantry.index.tables import instance, segment
from gantry.storage.extents import Extent, parse_extent

CHUNK = 500  # segments looked up by one query

_OFFSET, _SIZE = (cast(instance.c[name], String) for name in ("segment_offset", "size"))
BLOB_KEY: ColumnElement[Any] = case(
    (instance.c.segment_id.is_(None), instance.c.blob_key), else_=segment.c.key + "@" + _OFFSET + "+" + _SIZE
).label("blob_key")
"""A row's blob key, as ``storage.extents`` writes it, in a query made by ``join_segments``."""


def join_segments(query: Select[Any]) -> Select[Any]:
    """A query on ``instance`` with the segments: a join costs half of what a query inside of it would."""
    return query.outerjoin_from(instance, segment, segment.c.id == instance.c.segment_id)


_SEGMENTS = Numbering(segment, "store_id", "key")


class BlobPlace(NamedTuple):
    """The columns of ``instance`` that say where its bytes are; ``blob_key`` is empty for those in a segment."""

    blob_key: str
    segment_id: int | None = None
    segment_offset: int | None = None


def expect_segments(connection: Connection, keys: Iterable[str]) -> None:
    """Blobs with these keys are placed soon. Mostly each segment is a new one."""
    if not is_sqlite(connection):
        _SEGMENTS.expect(connection, len({each.segment for each in map(parse_extent, keys) if each is not None}))


def place_blobs(connection: Connection, store_id: int, blobs: Iterable[tuple[str, int]]) -> dict[str, BlobPlace]:
    """Where blobs of a store are, by key; segments that have no row yet get one. ``blobs``: keys and sizes.

    Raises Internal where the size is not the one that the key says: the row could not give the key back.
    """
    found: dict[str, BlobPlace] = {}
    extents: dict[str, Extent] = {}
    for key, size in blobs:
        extent = parse_extent(key)
        if extent is None:
            found[key] = BlobPlace(key)
        elif extent.length != size:
            raise Internal(f"{key} is the place of an instance of another size than {size} bytes")
        else:
            extents[key] = extent
    if extents:
        numbers = _ensure_segments(connection, store_id, {each.segment for each in extents.values()})
        found |= {key: BlobPlace("", numbers[each.segment], each.offset) for key, each in extents.items()}
    return found


def find_segments(connection: Connection, column: ColumnElement[Any], values: Iterable[Any]) -> Iterator[Row[Any]]:
    """Rows of segments whose ``column`` has one of ``values``."""
    wanted = sorted(values)
    if len(wanted) <= FEW:
        for rows in by_columns(column).fetch_each(connection, [(value,) for value in wanted]):
            yield from rows
        return
    for start in range(0, len(wanted), CHUNK):
        yield from connection.execute(select(segment).where(column.in_(wanted[start : start + CHUNK])))


def _ensure_segments(connection: Connection, store_id: int, keys: set[str]) -> dict[str, int]:
    """Numbers of segments, made where they are missing."""
    found = {row.key: row.id for row in find_segments(connection, segment.c.key, keys)}
    missing = sorted(keys - found.keys())
    made = _SEGMENTS.insert(connection, [(store_id, key) for key in missing])
    return found | dict(zip(missing, made, strict=True))
