"""All frames of an instance as one value; only a few frames are decoded at a time."""

from __future__ import annotations

from gantry.dicom import forms
from gantry.errors import DataLoss
from gantry.names import DicomStoreName
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.pixel_work import WORTH_A_CALL, decode_blob, run_pixel_work


class DecodedFrames:
    """The decoded frames, one after the other. The first ones are decoded at once, so that an error sets the status
    of the response; the others when they are read.

    ``count`` is read from the file, because the index has no number of frames where it could not read it. All frames
    have the same size in bytes. Raises StatusError.
    """

    def __init__(self, seams: Seams, store: DicomStoreName, row: StoredInstance, count: int) -> None:
        self._seams, self._store, self._row = seams, store, row
        self._count = count
        self._first = 0  # index of the first frame in ``_held``
        self._held = self._decode(0)
        self._frame_size = max(1, len(self._held[0]))

    def __len__(self) -> int:
        return self._frame_size * self._count

    def __getitem__(self, where: slice) -> bytes:
        start, stop, _ = where.indices(len(self))
        pieces = []
        while start < stop:
            number, at = divmod(start, self._frame_size)
            pieces.append(self._frame(number)[at : at + stop - start])
            start += len(pieces[-1])
        return b"".join(pieces)

    def _frame(self, number: int) -> bytes:
        if not self._first <= number < self._first + len(self._held):
            self._held = []  # never two batches in memory
            self._first, self._held = number, self._decode(number)
        frame = self._held[number - self._first]
        if len(frame) != self._frame_size:
            raise DataLoss(f"frame {number + 1} has {len(frame)} bytes, the first one has {self._frame_size}")
        return frame

    def _decode(self, first: int) -> list[bytes]:
        wanted = range(first, self._count)
        return run_pixel_work(
            self._seams,
            self._store,
            self._row,
            decode_blob,
            transfer_syntax_uid=forms.EXPLICIT_LE,
            wanted=wanted,
            most=WORTH_A_CALL,
        )
