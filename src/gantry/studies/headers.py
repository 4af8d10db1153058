"""Headers of instances: out of the index, or out of the blob where the index has none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from gantry.dicom.part10 import MAX_LIVE_SKELETON, read_header, read_skeleton
from gantry.dicom.skeleton import Skeleton
from gantry.errors import DataLoss, FailedPrecondition, NotFound
from gantry.header_packs import unpack
from gantry.queries import FoundInstance
from gantry.seams import Seams

_CHUNK = 64
_KEPT_PACKS = 32


def with_headers(seams: Seams, rows: Iterable[FoundInstance]) -> Iterator[tuple[FoundInstance, Skeleton]]:
    """Each row with its header, in order. Rows that are deleted meanwhile are left out."""
    unpacked: OrderedDict[int, list[bytes]] = OrderedDict()
    for chunk in _chunks(rows):
        wanted = {row.pack_id for row in chunk if row.pack_id is not None}
        missing = sorted(wanted - unpacked.keys())
        for number, data in (seams.index.header_packs(missing) if missing else {}).items():
            unpacked[number] = unpack(data)
        for row in chunk:
            found = _one(seams, row, unpacked)
            if found is not None:
                yield row, found
        while len(unpacked) > _KEPT_PACKS:
            unpacked.popitem(last=False)


def _one(seams: Seams, row: FoundInstance, unpacked: OrderedDict[int, list[bytes]]) -> Skeleton | None:
    if row.pack_id is None:
        return live_header(seams, row)
    entries = unpacked.get(row.pack_id)
    if entries is None or row.pack_number is None or not entries[row.pack_number]:
        return None
    unpacked.move_to_end(row.pack_id)
    return Skeleton.from_bytes(entries[row.pack_number])


def live_header(seams: Seams, row: FoundInstance) -> Skeleton | None:
    """Read from the blob: headers too long for the index, and those of rows an older Gantry wrote."""
    try:
        with seams.blobs.open(row.blob_key) as blob:
            header = read_header(blob.read_at, blob.size)
            found = read_skeleton(blob.read_at, blob.size, header.layout, MAX_LIVE_SKELETON)
    except NotFound:
        return None
    if found is None:
        raise FailedPrecondition(f"the header of {row.sop_instance_uid} has more than {MAX_LIVE_SKELETON} bytes")
    return found


def one_header(seams: Seams, row: FoundInstance) -> Skeleton:
    """Raises DataLoss where it is gone."""
    for _, found in with_headers(seams, [row]):
        return found
    raise DataLoss(f"the header of {row.sop_instance_uid} is gone; it may have been deleted just now")


def _chunks(rows: Iterable[FoundInstance]) -> Iterator[Sequence[FoundInstance]]:
    chunk: list[FoundInstance] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
