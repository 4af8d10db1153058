"""Rows of changes, made in a worker process: what is stored, and what is known where a header is gone already."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gantry.beats import CALL_SECONDS, beat
from gantry.containment import contain
from gantry.dicom.header_bytes import HeaderBytes
from gantry.errors import DataLoss, StatusError
from gantry.events import Event, Kind
from gantry.header_packs import unpack
from gantry.operations.table_rows import MOST_PACK_BYTES, read_live_header
from gantry.resources import StoredInstance, path_of
from gantry.seams import BlobStore, Seams
from gantry.table_schema import Columns, TableRow
from gantry.table_seams import ExportTable
from gantry.tables.rows import DELETE, INSERT, UPDATE, RowChange, RowForm, RowWriter

logger = logging.getLogger(__name__)

MOST_ROW_BYTES = 1_000_000
"""Of a row of a stream, as the API documents it."""

WRITTEN, WITHOUT_HEADER, TOO_LONG, DIED = "written", "without_header", "too_long", "died"
_PACKS = 8  # of one query
_PLACE = re.compile(r"([0-9]+)\.([0-9]+)")
_TYPES = {Kind.STORED: INSERT, Kind.DELETED: DELETE}
"""All other changes are UPDATE."""


class StreamChange(NamedTuple):
    """``time`` in microseconds. ``instance`` is the one that is stored now, None where none is. ``is_bare``: its header
    is not looked at."""

    event: Event
    time: int
    instance: StoredInstance | None
    is_bare: bool = False

    @property
    def place(self) -> tuple[int, int] | None:
        """Of the header of this version, in a pack."""
        found = _PLACE.fullmatch(self.event.version)
        return None if found is None or self.event.kind is Kind.DELETED else (int(found[1]), int(found[2]))

    @property
    def current(self) -> StoredInstance | None:
        """The instance, if it still has this version. One whose header the index does not keep has that of its bytes,
        which a change of class has moved."""
        found = self.instance
        if found is None or self.event.kind is Kind.DELETED:
            return None
        if found.pack_id is not None:
            return found if self.place == (found.pack_id, found.pack_number) else None
        return found if self.event.version == found.blob_key or self.event.kind is Kind.MOVED else None


class StreamRows(NamedTuple):
    """What became of a change: one of the words above; the stages of its batch and the columns of all rows there."""

    outcome: str
    stages: tuple[str, ...] = ()
    columns: Columns = ()


def read_stream_packs(seams: Seams, changes: Sequence[StreamChange]) -> dict[int, bytes]:
    """The packs with the headers of changes, of bounded size together."""
    wanted, found = sorted({each.place[0] for each in changes if each.place is not None}), dict[int, bytes]()
    for at in range(0, len(wanted), _PACKS):
        if sum(map(len, found.values())) > MOST_PACK_BYTES:
            break
        found |= seams.index.instances.get_header_packs(wanted[at : at + _PACKS])
    return found


def stage_changes(
    changes: Sequence[StreamChange],
    packs: Mapping[int, bytes],
    *,
    name: str,
    blobs: BlobStore,
    form: RowForm,
    table: ExportTable,
) -> list[StreamRows]:
    """Stage the rows of changes as ``name``; durable on return. What it waits for (``waits_for``) is raised."""
    beat(CALL_SECONDS)
    writer, headers, outcomes = RowWriter(form), _Headers(packs, blobs), list[str]()

    def make_rows() -> Iterator[TableRow]:
        for change in changes:
            row, outcome = _make_row(writer, change, headers)
            outcomes.append(outcome)
            if outcome != TOO_LONG:
                yield row

    stages = tuple(table.stage(name, make_rows()))
    columns = writer.list_columns()
    return [StreamRows(outcome, stages, columns) for outcome in outcomes]


def _make_row(writer: RowWriter, change: StreamChange, headers: _Headers) -> tuple[TableRow, str]:
    about, header = _describe(change), headers.find(change)
    row: TableRow | None = None
    if header is not None:
        try:
            with contain(path_of(change.event.uids), "while its row was made"):
                row = writer.write_change(about, header)
        except StatusError as error:
            logger.warning("%s: its row has no metadata: %s", path_of(change.event.uids), error.message)
    outcome = WRITTEN if row or change.event.kind is Kind.DELETED else WITHOUT_HEADER
    row = row or writer.write_change(about, None)
    return row, TOO_LONG if _count_bytes(row.own) + _count_bytes(row.common) > MOST_ROW_BYTES else outcome


def _count_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _describe(change: StreamChange) -> RowChange:
    event, kind = change.event, _TYPES.get(change.event.kind, UPDATE)
    if kind == DELETE:
        return RowChange(event.uids, kind, change.time)
    size = None if change.current is None else change.current.size
    return RowChange(event.uids, kind, change.time, event.modality, event.storage_class, size)


class _Headers:
    """Of changes of a batch, most of which are in the same pack."""

    def __init__(self, packs: Mapping[int, bytes], blobs: BlobStore) -> None:
        self._packs, self._blobs = packs, blobs
        self._entries: tuple[int, list[bytes]] = (-1, [])

    def find(self, change: StreamChange) -> HeaderBytes | None:
        """None where it is gone, or cannot be read. Raises what an operation would wait for."""
        if change.is_bare:
            return None
        if change.place is not None and (found := self._find_kept(*change.place)) is not None:
            return found
        try:
            return read_live_header(change.current, self._blobs) if change.current is not None else None
        except StatusError as error:
            if error.waits_for is not None:
                raise
            return None

    def _find_kept(self, pack: int, number: int) -> HeaderBytes | None:
        if self._entries[0] != pack:
            self._entries = pack, self._unpack(pack)
        entries = self._entries[1]
        try:
            return HeaderBytes.from_bytes(entries[number]) if number < len(entries) and entries[number] else None
        except DataLoss:
            return None

    def _unpack(self, pack: int) -> list[bytes]:
        try:
            return unpack(self._packs[pack]) if pack in self._packs else []
        except DataLoss:
            return []
