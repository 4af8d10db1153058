"""Frames of an instance one after the other, as one long value of which a few are decoded at a time."""

from __future__ import annotations

from gantry.dicom import forms
from gantry.errors import DataLoss
from gantry.names import DicomStoreName
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.pixel_work import WORTH_A_CALL, frames_of_blob, made_of


class DecodedFrames:
    """The first frames are decoded at once, so that an error has a status of its own; the others as they are read.

    There are ``count`` of them, by the file: the index knows of none where it cannot read their number. All have the
    same size in bytes. Raises StatusError.
    """

    def __init__(self, seams: Seams, store: DicomStoreName, row: StoredInstance, count: int) -> None:
        self._seams, self._store, self._row = seams, store, row
        self._count = count
        self._first = 0  # the number of the first frame of ``_held``
        self._held = self._decode(0, goes_on=False)
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
            self._held = []  # two batches are never there at a time
            self._first, self._held = number, self._decode(number, goes_on=True)
        frame = self._held[number - self._first]
        if len(frame) != self._frame_size:
            raise DataLoss(f"frame {number + 1} has {len(frame)} bytes, the first one has {self._frame_size}")
        return frame

    def _decode(self, first: int, *, goes_on: bool) -> list[bytes]:
        wanted = range(first, self._count)
        return made_of(
            self._seams,
            self._store,
            self._row,
            frames_of_blob,
            goes_on=goes_on,
            transfer_syntax_uid=forms.EXPLICIT_LE,
            wanted=wanted,
            most=WORTH_A_CALL,
        )
