"""Frames of an instance as bitstreams (PS3.18 §10.4.1.1.6): read from the blob, or transcoded by workers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence

from gantry.containment import contain
from gantry.dicom import forms
from gantry.dicom.open_source import StoredFrames, stored_frames
from gantry.errors import DataLoss, InvalidArgument, NotFound
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import OpenedObject, Seams
from gantry.studies.headers import read_one_header
from gantry.studies.pixel_work import decode_blob, stream_frames
from gantry.studies.retrieve import open_blob

MAX_FRAMES_BYTES = 1 << 30  # of all frames of one response
_MOST_REMEMBERED = 64 << 20  # bytes of tables in memory
_PIECE = 1 << 20  # bytes read at a time
Extent = tuple[int, int]
_NATIVE = (forms.EXPLICIT_LE, forms.IMPLICIT_LE)


class FramePlaces:
    """A cache of the positions of frames in blobs, up to a number of bytes: viewers read a slide tile by tile.

    A blob never changes, so the entries stay valid.
    """

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        self._most, self._held = most, 0
        self._known: OrderedDict[str, tuple[StoredFrames, int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, seams: Seams, store: DicomStoreName, row: StoredInstance, blob: OpenedObject) -> StoredFrames | None:
        """The positions of the frames; None where a worker has to decode the pixels."""
        with self._lock:
            table, _ = self._known.get(blob.key, (None, 0))
        if table is None:
            header = read_one_header(seams, store, row)
            with contain(str(ResourcePath(*row.uids)), "while its frames were located"):
                table = stored_frames(blob, header, row.transfer_syntax_uid)
        if table is not None:
            self.keep(blob.key, table)
        return table

    def keep(self, key: str, table: StoredFrames) -> None:
        """Store a table as the latest, with its present size: a table grows when it has to read the fragments, so that
        whoever has asked it for frames calls this again."""
        with self._lock:
            self._held -= self._known.pop(key, (table, 0))[1]
            self._known[key] = table, table.memory
            self._held += self._known[key][1]
            while self._held > self._most:
                self._held -= self._known.popitem(last=False)[1][1]


Frame = Iterator[bytes]
"""The pieces of one frame, to be read before the next frame."""


def read_frames(
    seams: Seams, places: FramePlaces, store: DicomStoreName, row: StoredInstance, numbers: Sequence[int], syntax: str
) -> Generator[Frame, None, None]:
    """Frames by numbers from 0; at most the frames of one worker call are in memory.

    ``syntax`` ``""`` means the stored one. Raises NoSuchFrame before the first frame, StatusError.
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
    for frame in stream_frames(seams, store, row, decode_blob, numbers, transfer_syntax_uid=syntax):
        yield iter((frame,))


def _open_stored(
    seams: Seams, places: FramePlaces, store: DicomStoreName, row: StoredInstance, numbers: Sequence[int]
) -> tuple[OpenedObject, list[list[Extent]]] | None:
    """The open blob and the extents of each frame; None where a worker has to decode the pixels."""
    blob = open_blob(seams, store, row)
    if blob is None:
        raise NotFound("the instance was deleted just now")
    try:
        where = places.of(seams, store, row, blob)
        if where is not None and all(0 <= number < where.frames for number in numbers):
            extents = [where.extents(blob, number) for number in numbers]
            places.keep(blob.key, where)
            _require_few_bytes(extents)
            return blob, extents
    except BaseException:
        blob.__exit__(None, None, None)
        raise
    blob.__exit__(None, None, None)
    return None


def _require_few_bytes(extents: list[list[Extent]]) -> None:
    if sum(length for frame in extents for _, length in frame) > MAX_FRAMES_BYTES:
        raise InvalidArgument(f"{len(extents)} frames have more than {MAX_FRAMES_BYTES} bytes; ask for fewer")


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
