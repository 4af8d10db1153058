"""Tables of contents in a segment: what the index says of its instances can be found again without the index.

A table is a block that begins at a multiple of ALIGNMENT::

    MAGIC   16 bytes
    length  of the payload in bytes, 4 bytes, little-endian
    CRC32C  of the payload, 4 bytes, little-endian
    payload JSON, compressed with zstandard (RFC 8878):
            {"version": 1, "segment": KEY, "offset": of this block,
             "entries": [[offset, length, study UID, series UID, SOP instance UID, CRC32C or null], …]}

An instance may hold bytes that look like a table. They are none: a table names its own segment, whose name nobody can
guess, and its own offset, it stands behind all that it lists, and in no range that a later table lists.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import google_crc32c
import zstandard

from gantry.errors import StatusError
from gantry.resources import Uids
from gantry.seams import OpenedObject
from gantry.storage.extents import ALIGNMENT, Entry, Extent, align, parse_extent

VERSION = 1
MAGIC = b"\x89GANTRY-TOC\r\n\x1a\n\x00"  # as PNG's: no text, and damaged by whoever changes the ends of lines
_HEAD = struct.Struct("<16sII")
_MOST_PAYLOAD = 16 << 20  # a segment of 64 MiB has at most 16,384 instances, with some 200 bytes for each
_WINDOW = 4 << 20  # bytes read at once while tables are looked for; a multiple of ALIGNMENT


class Row(NamedTuple):
    """An instance in a segment. ``crc32c`` is None where the bytes did not pass through us."""

    offset: int
    length: int
    uids: Uids
    crc32c: int | None


class Table(NamedTuple):
    """``end`` is where the block ends; the next thing begins at ``align(end)``."""

    offset: int
    end: int
    entries: Sequence[Entry]


def encode_table(segment: str, rows: Sequence[Row], offset: int) -> bytes:
    """The block that is to stand at ``offset``."""
    listed = [[row.offset, row.length, *row.uids, row.crc32c] for row in rows]
    content = {"version": VERSION, "segment": segment, "offset": offset, "entries": listed}
    text = json.dumps(content, separators=(",", ":")).encode()
    payload = zstandard.ZstdCompressor(level=1).compress(text)
    return _HEAD.pack(MAGIC, len(payload), google_crc32c.value(payload)) + payload


def read_tables(opened: OpenedObject, segment: str = "", start: int = 0) -> Iterator[Table]:
    """The tables of a segment in the order of their offsets. ``segment`` is its key where that is not the one of
    ``opened``; nothing before ``start`` is looked at. What is damaged is no table. Raises what reading raises."""
    kept: list[Table] = []
    listed: set[int] = set()
    # From the last one on: what lies in an instance that a later table lists is not even read.
    for offset in reversed(list(_candidates(opened, start))):
        if offset not in listed and (table := _read(opened, offset, segment or opened.key)):
            kept.append(table)
            for extent in extents_of(table):
                listed.update(range(extent.offset, extent.end, ALIGNMENT))
    return reversed(kept)


def find_crc32cs(opened: OpenedObject, extents: Collection[Extent]) -> dict[str, int | None]:
    """What the tables of a segment say of the bytes of instances, by their keys; None where none does.

    Reads no more of the segment than that takes: a table stands right behind its instances, or at the end. Raises what
    reading raises, where something was not found for it.
    """
    found: dict[str, int | None] = {}
    starts = {extent.offset: extent for extent in extents}
    for extent in sorted(extents):
        if str(extent) in found:
            continue
        start = extent.end
        while start in starts:  # what is asked for is no table
            start = starts[start].end
        for table in _search(opened, start, extent.segment):
            found |= {entry.key: entry.crc32c for entry in table.entries}
            if str(extent) in found:
                break
        else:  # all tables behind it are known now
            return {str(each): found.get(str(each)) for each in extents}
    return {str(each): found[str(each)] for each in extents}


def _search(opened: OpenedObject, start: int, segment: str) -> Iterator[Table]:
    """The tables from an offset on: first those that are near, then from the end."""
    failed: StatusError | None = None
    windows = list(range(start, opened.size, _WINDOW))
    for at in windows[:1] + windows[:0:-1]:
        try:
            for offset in _find_candidates(opened, at):
                if table := _read(opened, offset, segment):
                    yield table
        except StatusError as error:  # what is asked for may stand elsewhere
            failed = failed or error
    if failed is not None:
        raise failed


def count_unlisted(opened: OpenedObject, named: Collection[Extent]) -> int:
    """Bytes of a segment, in whole blocks, that are part of no table, are listed by none, and are not in the extents
    ``named``. Zeros count as nothing: they were freed, or never written."""
    covered = [(extent.offset, extent.end) for extent in named]
    for table in read_tables(opened):
        covered += [(extent.offset, extent.end) for extent in extents_of(table)]
        covered.append((table.offset, align(table.end)))
    gaps = find_gaps(covered, opened.size)
    return sum(
        _count_data(opened, at, min(at + _WINDOW, end)) for start, end in gaps for at in range(start, end, _WINDOW)
    )


def find_rest(opened: OpenedObject, live: Collection[Extent]) -> Iterator[tuple[int, int]]:
    """The ranges of a segment that hold neither ``live`` instances nor a table. Raises what reading raises."""
    kept = [(each.offset, each.end) for each in live]
    kept += [(table.offset, align(table.end)) for table in read_tables(opened)]
    return find_gaps(kept, opened.size)


def find_gaps(covered: Collection[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The ranges of a segment of ``size`` bytes, in whole blocks, that lie in none of the ``covered``."""
    start = 0
    for offset, end in (*sorted(covered), (align(size), 0)):
        if start < offset:
            yield start, offset
        start = max(start, end)


def _count_data(opened: OpenedObject, start: int, end: int) -> int:
    window = opened.read_at(start, end - start)
    if not window.strip(b"\0"):
        return 0
    return ALIGNMENT * sum(any(window[at : at + ALIGNMENT]) for at in range(0, len(window), ALIGNMENT))


def _candidates(opened: OpenedObject, start: int) -> Iterator[int]:
    for at in range(start, opened.size, _WINDOW):
        yield from _find_candidates(opened, at)


def _find_candidates(opened: OpenedObject, start: int) -> Iterator[int]:
    """Where a table may begin, in the window that begins at ``start``."""
    window = opened.read_at(start, _WINDOW)
    at = window.find(MAGIC)
    while at >= 0:
        if at % ALIGNMENT == 0:
            yield start + at
        at = window.find(MAGIC, at + 1)


def _read(opened: OpenedObject, offset: int, segment: str) -> Table | None:
    """None for what is no whole table of this segment at this place."""
    head = opened.read_at(offset, _HEAD.size)
    if len(head) < _HEAD.size:
        return None
    _, length, crc = _HEAD.unpack(head)
    payload = opened.read_at(offset + _HEAD.size, length) if length <= _MOST_PAYLOAD else b""
    if len(payload) != length or google_crc32c.value(payload) != crc:
        return None
    content = _decode(payload)
    if (content.get("version"), content.get("segment"), content.get("offset")) != (VERSION, segment, offset):
        return None
    try:
        entries = [_entry(segment, offset, *row) for row in content["entries"]]
    except (KeyError, TypeError, ValueError):
        return None
    return Table(offset, offset + _HEAD.size + length, entries)


def _decode(payload: bytes) -> dict[str, Any]:
    try:
        if not 0 <= zstandard.frame_content_size(payload) <= _MOST_PAYLOAD:  # so much is allocated at once
            return {}
        content = json.loads(zstandard.ZstdDecompressor().decompress(payload, max_output_size=_MOST_PAYLOAD))
    except (zstandard.ZstdError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _entry(segment: str, table: int, offset: int, length: int, *rest: Any) -> Entry:
    """Raises TypeError and ValueError for a row that no writer makes."""
    study, series, instance, crc = rest
    if not 0 <= offset < align(offset + length) <= table or offset % ALIGNMENT:
        raise ValueError
    if not all(isinstance(uid, str) for uid in (study, series, instance)):
        raise TypeError
    return Entry(str(Extent(segment, offset, length)), (study, series, instance), crc)


def extents_of(table: Table) -> list[Extent]:
    """The ranges that a table lists."""
    return [extent for entry in table.entries if (extent := parse_extent(entry.key))]
