"""Frames of an instance as bitstreams (PS3.18 §10.4.1.1.6): stored ones out of the blob, others by workers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence

from gantry.containment import contain
from gantry.dicom import forms
from gantry.dicom.open_source import StoredFrames, stored_frames
from gantry.errors import DataLoss, FailedPrecondition, NotFound
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import OpenedObject, Seams
from gantry.studies.headers import one_header
from gantry.studies.pixel_work import frames_of_blob, in_runs
from gantry.studies.retrieve import open_blob

MAX_FRAMES_BYTES = 1 << 30
_MOST_REMEMBERED = 64 << 20
_PIECE = 1 << 20
Extent = tuple[int, int]
_NATIVE = (forms.EXPLICIT_LE, forms.IMPLICIT_LE)


class FramePlaces:
    """Where the frames of the latest instances lie, up to a number of bytes: a slide is asked for tile by tile.

    A blob never changes, so what is known of it stays true.
    """

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        self._most, self._held = most, 0
        self._known: OrderedDict[str, tuple[StoredFrames, int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, seams: Seams, store: DicomStoreName, row: StoredInstance, blob: OpenedObject) -> StoredFrames | None:
        """None where a worker has to look at the pixels."""
        with self._lock:
            found, _ = self._known.get(blob.key, (None, 0))
        if found is None:
            header = one_header(seams, store, row)
            with contain(str(ResourcePath(*row.uids)), "while its frames were looked for"):
                found = stored_frames(blob, header, row.transfer_syntax_uid)
        if found is not None:
            self._keep(blob.key, found)
        return found

    def _keep(self, key: str, found: StoredFrames) -> None:
        """As the latest, measured anew: a table grows when it has to look at the fragments after all."""
        with self._lock:
            self._held -= self._known.pop(key, (found, 0))[1]
            self._known[key] = found, found.memory
            self._held += self._known[key][1]
            while self._held > self._most:
                self._held -= self._known.popitem(last=False)[1][1]


Frame = Iterator[bytes]
"""The pieces of one frame, to be drawn before the next frame is asked for."""


def frames(
    seams: Seams, places: FramePlaces, store: DicomStoreName, row: StoredInstance, numbers: Sequence[int], syntax: str
) -> Generator[Frame, None, None]:
    """Frames by numbers from 0, no more of them in memory than are worth a call of a worker.

    ``syntax`` ``""`` stands for the stored one. Raises OutOfRange before the first frame, StatusError.
    """
    is_native = row.transfer_syntax_uid in _NATIVE and syntax in forms.NATIVE_TARGETS
    if is_native or syntax in ("", row.transfer_syntax_uid):
        stored = _open_stored(seams, places, store, row, numbers)
        if stored is not None:
            return _read_stored(*stored)
    return _decode_some(seams, store, row, numbers, syntax)


def _decode_some(
    seams: Seams, store: DicomStoreName, row: StoredInstance, numbers: Sequence[int], syntax: str
) -> Generator[Frame, None, None]:
    for data in in_runs(seams, store, row, frames_of_blob, numbers, transfer_syntax_uid=syntax):
        yield iter((data,))


def _open_stored(
    seams: Seams, places: FramePlaces, store: DicomStoreName, row: StoredInstance, numbers: Sequence[int]
) -> tuple[OpenedObject, list[list[Extent]]] | None:
    """The file, opened, and where the frames lie in it; None where a worker has to look."""
    blob = open_blob(seams, store, row)
    if blob is None:
        raise NotFound("the instance was deleted just now")
    try:
        where = places.of(seams, store, row, blob)
        if where is not None and all(0 <= number < where.frames for number in numbers):
            extents = [where.extents(blob, number) for number in numbers]
            _require_few_bytes(extents)
            return blob, extents
    except BaseException:
        blob.__exit__(None, None, None)
        raise
    blob.__exit__(None, None, None)
    return None


def _require_few_bytes(extents: list[list[Extent]]) -> None:
    if sum(length for frame in extents for _, length in frame) > MAX_FRAMES_BYTES:
        raise FailedPrecondition(f"{len(extents)} frames have more than {MAX_FRAMES_BYTES} bytes; ask for fewer")


def _read_stored(blob: OpenedObject, extents: list[list[Extent]]) -> Generator[Frame, None, None]:
    with blob:
        for frame in extents:
            yield _read(blob, frame)


def _read(blob: OpenedObject, frame: list[Extent]) -> Frame:
    for start, length in frame:
        for at in range(start, start + length, _PIECE):
            size = min(_PIECE, start + length - at)
            data = blob.read_at(at, size)
            if len(data) < size:
                raise DataLoss("the file of this instance is shorter than it was when it was stored")
            yield data
