"""Headers of instances: read from the index, or from the blob where the index has none."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gantry.containment import contain
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import MAX_LIVE_HEADER, MAX_SEQUENCES, read_header, read_header_bytes
from gantry.errors import DataLoss, FailedPrecondition, Interrupted, NotFound, StatusError
from gantry.header_packs import unpack
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.stored_bytes import make_lost, open_stored
from gantry.studies.looking_up import find_now, require_same

logger = logging.getLogger(__name__)

_CHUNK = 64  # rows whose packs are read in one query
_KEPT_PACKS = 32  # in memory between two chunks
_LOOKS = 3
"""How often an instance that was changed meanwhile is looked up before its header counts as lost."""

_Packs = OrderedDict[int, list[bytes]]


class FoundHeader(NamedTuple):
    """An instance with its header, or with the error for why it cannot be read."""

    row: StoredInstance
    header: HeaderBytes | None
    error: StatusError | None = None


def read_headers(seams: Seams, store: DicomStoreName, rows: Iterable[StoredInstance]) -> Iterator[FoundHeader]:
    """Each row with its header, in order. Raises Interrupted.

    Rows that are deleted meanwhile are left out; rows that are changed or moved meanwhile are looked up again. A header
    that cannot be read is the error of its row.
    """
    packs: _Packs = OrderedDict()
    for chunk in _chunks(rows):
        _load(seams, {row.pack_id for row in chunk if row.pack_id is not None}, packs)
        for row in chunk:
            found = _find_header(seams, store, row, packs)
            if found is not None:
                yield found
        while len(packs) > _KEPT_PACKS:
            packs.popitem(last=False)


def _load(seams: Seams, wanted: set[int], packs: _Packs) -> None:
    """Load packs that are missing in ``packs``. A damaged pack becomes an empty one."""
    missing = sorted(wanted - packs.keys())
    for number, data in (seams.index.instances.get_header_packs(missing) if missing else {}).items():
        try:
            with contain(f"header pack {number}", "while it was unpacked"):
                packs[number] = unpack(data)
        except StatusError as error:
            logger.error("header pack %d: %s; the headers are read from the files", number, error.message)
            packs[number] = []


def _find_header(seams: Seams, store: DicomStoreName, row: StoredInstance, packs: _Packs) -> FoundHeader | None:
    """The header of a row; None for an instance that was deleted."""
    try:
        for _ in range(_LOOKS):
            with contain(ResourcePath(*row.uids), "while its header was read"):
                header = _read_header(seams, row, packs)
            if header is not None:
                return FoundHeader(row, header)
            before, row = row, find_now(seams, store, row)
            if (row.blob_key, row.pack_id, row.pack_number) == (before.blob_key, before.pack_id, before.pack_number):
                return _find_lost(seams, row)
            _load(seams, {row.pack_id} if row.pack_id is not None else set(), packs)
    except NotFound:
        return None
    except Interrupted:
        raise
    except StatusError as error:
        return FoundHeader(row, None, error)
    return FoundHeader(row, None, DataLoss("its header was changed repeatedly while it was read"))


def _find_lost(seams: Seams, row: StoredInstance) -> FoundHeader:
    """Of an instance whose pack, or whose place in it, is missing: what its file says."""
    header = read_live_header(seams, row) if row.pack_id is not None else None
    if header is None:
        return FoundHeader(row, None, make_lost(row.sop_instance_uid))
    logger.error("the header of %s is missing in the index; it is read from the file", _path(row))
    return FoundHeader(row, header)


def _read_header(seams: Seams, row: StoredInstance, packs: _Packs) -> HeaderBytes | None:
    """The header from its pack, else from the blob; None where both are gone."""
    if row.pack_id is None:
        return read_live_header(seams, row)
    entries = packs.get(row.pack_id)
    if entries is None:
        return None
    packs.move_to_end(row.pack_id)
    if not entries:
        return read_live_header(seams, row)
    if row.pack_number is None:
        return None
    try:
        entry = entries[row.pack_number]
        found = HeaderBytes.from_bytes(entry) if entry else None
    except (DataLoss, IndexError):
        logger.error("the header of %s is damaged in the index; it is read from the file", _path(row))
        return read_live_header(seams, row)
    return read_live_header(seams, row) if found is not None and found.lacks_sequences else found


def read_live_header(seams: Seams, row: StoredInstance) -> HeaderBytes | None:
    """Read a header from the blob: one that is too long for the index, or not in it yet. None if the blob is gone."""
    try:
        with open_stored(seams.blobs, row.blob_key, row.size) as blob:
            header = read_header(blob.read_at, blob.size)
            layout = header.layout.with_sequences(MAX_SEQUENCES)
            found = read_header_bytes(blob.read_at, blob.size, layout, MAX_LIVE_HEADER)
    except NotFound:
        return None
    if found is None:
        raise FailedPrecondition(f"its header has more than {MAX_LIVE_HEADER} bytes")
    return found


def read_one_header(seams: Seams, store: DicomStoreName, row: StoredInstance) -> HeaderBytes:
    """The header of one instance. Raises DataLoss where it is gone, Replaced where the instance is another one now, and
    StatusError where it cannot be read."""
    for found in read_headers(seams, store, [row]):
        require_same(found.row, row)
        if found.header is None:
            raise name_instance(row, found.error)
        return found.header
    raise DataLoss(f"instance {row.sop_instance_uid} is gone; it may have been deleted just now")


def name_instance(row: StoredInstance, error: StatusError | None) -> StatusError:
    """The same error with the instance in front of its message."""
    error = error or DataLoss("its header cannot be read")
    return type(error)(f"instance {row.sop_instance_uid}: {error.message}", error.details, kind=error.kind)


def log_unread(row: StoredInstance, error: StatusError | None, answer: str) -> None:
    """Log that an answer contains only the UIDs of an instance."""
    reason = name_instance(row, error).message
    logger.warning("%s: the %s contains only its UIDs: %s", _path(row), answer, reason)


def _path(row: StoredInstance) -> str:
    return str(ResourcePath(*row.uids))


def _chunks(rows: Iterable[StoredInstance]) -> Iterator[Sequence[StoredInstance]]:
    chunk: list[StoredInstance] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
