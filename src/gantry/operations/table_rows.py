"""Rows of a batch of instances, made in a worker process: headers come in packs from the index, or from the blobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gantry.beats import CALL_SECONDS, beat, beat_for
from gantry.containment import contain
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import MAX_LIVE_HEADER, read_header, read_header_bytes
from gantry.errors import DataLoss, FailedPrecondition, StatusError
from gantry.header_packs import unpack
from gantry.reasons import Reason
from gantry.resources import Failure, StoredInstance
from gantry.seams import BlobStore, Seams
from gantry.stored_bytes import open_stored
from gantry.table_schema import Columns, TableRow
from gantry.table_seams import ExportTable
from gantry.tables.rows import RowForm, RowWriter

MOST_PACK_BYTES = 16 << 20
"""Of packs sent with a batch; the headers in further ones are read from the files. Alike headers need far less."""

_PACKS = 8  # of one query


class Staged(NamedTuple):
    """The stages of a batch of rows, and the columns of all rows there: one object for all of them."""

    stages: tuple[str, ...]
    columns: Columns


def read_packs(seams: Seams, instances: Sequence[StoredInstance]) -> dict[int, bytes]:
    """The packs with the headers of these instances, of bounded size together."""
    wanted = sorted({each.pack_id for each in instances if each.pack_id is not None})
    found: dict[int, bytes] = {}
    for at in range(0, len(wanted), _PACKS):
        if sum(map(len, found.values())) > MOST_PACK_BYTES:
            break
        found.update(seams.index.instances.get_header_packs(wanted[at : at + _PACKS]))
    return found


def stage_rows(
    instances: Sequence[StoredInstance],
    packs: Mapping[int, bytes],
    *,
    name: str,
    blobs: BlobStore,
    form: RowForm,
    table: ExportTable,
) -> list[Staged | Failure]:
    """Stage the rows of these instances as ``name``; durable on return. An error of one instance is its Failure;
    what an operation waits for (``waits_for``) is raised."""
    beat(CALL_SECONDS)
    writer, failures = RowWriter(form), dict[int, Failure]()

    def make_rows() -> Iterator[TableRow]:
        for place, header in _read_headers(instances, packs, blobs):
            instance = instances[place]
            try:
                if isinstance(header, StatusError):
                    raise header
                with contain(instance.path, "while its row was made"):
                    row = writer.write(instance, header)
            except StatusError as error:
                if error.waits_for is not None:
                    raise
                failures[place] = Failure(instance.path, error.status)
            else:
                yield row

    staged = Staged(tuple(table.stage(name, make_rows())), writer.list_columns())
    return [failures.get(place, staged) for place in range(len(instances))]


def _read_headers(
    instances: Sequence[StoredInstance], packs: Mapping[int, bytes], blobs: BlobStore
) -> Iterator[tuple[int, HeaderBytes | StatusError]]:
    """The header of each instance, or why it cannot be read, pack by pack: one is in memory at a time."""
    places: dict[int, list[int]] = {}
    for place, instance in enumerate(instances):
        places.setdefault(-1 if instance.pack_id is None else instance.pack_id, []).append(place)
    for number, those in places.items():
        entries = _unpack(packs.get(number, b""))
        for place in sorted(those, key=lambda place: instances[place].pack_number or 0):
            try:
                yield place, _find_header(instances[place], entries) or read_live_header(instances[place], blobs)
            except StatusError as error:
                yield place, error


def _unpack(data: bytes) -> list[bytes]:
    """None of a pack that is damaged: the headers are read from the files."""
    try:
        return unpack(data) if data else []
    except DataLoss:
        return []


def _find_header(instance: StoredInstance, entries: list[bytes]) -> HeaderBytes | None:
    number = instance.pack_number
    if number is None or number >= len(entries) or not entries[number]:
        return None
    try:
        return HeaderBytes.from_bytes(entries[number])
    except DataLoss:
        return None


def read_live_header(instance: StoredInstance, blobs: BlobStore) -> HeaderBytes:
    """A header that the index does not hold. Raises NotFound where the blob is gone or was moved."""
    beat_for(instance.size)
    key, size = instance.blob_key, instance.size
    with contain(instance.path, "while its header was read"), open_stored(blobs, key, size) as blob:
        layout = read_header(blob.read_at, blob.size).layout
        found = read_header_bytes(blob.read_at, blob.size, layout, MAX_LIVE_HEADER)
    if found is None:
        raise FailedPrecondition(f"its header has more than {MAX_LIVE_HEADER} bytes", kind=Reason.TOO_LARGE)
    return found
