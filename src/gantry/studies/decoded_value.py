"""Encapsulated pixel data as one uncompressed value: its frames one after the other, decoded as they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gantry.errors import DataLoss

Decode = Callable[[Sequence[int]], list[bytes]]
"""The first of the frames asked for, by numbers from 0, as many as are worth a call of a worker."""


class DecodedValue:
    """``size`` bytes, of which a run of frames is held at a time. What is read must be read by one thread."""

    def __init__(self, count: int, decode: Decode) -> None:
        """Decodes the first run: it says how long a frame is. Raises StatusError."""
        self._count, self._decode = count, decode
        self._held, self._start, self._frame = b"", 0, 0
        self._load(0)
        self.size = self._frame * count

    def read_at(self, start: int, length: int) -> bytes:
        """At most ``length`` bytes, and at least one before the end. Raises StatusError."""
        if not self._start <= start < self._start + len(self._held):
            self._load(start // self._frame)
        at = start - self._start
        return self._held[at : at + length]

    def _load(self, number: int) -> None:
        self._held = b""  # before the next ones are here
        frames = self._decode(range(number, self._count))
        size = self._frame or (len(frames[0]) if frames else 0)
        if not size or any(len(frame) != size for frame in frames):
            raise DataLoss("the frames of this instance have different sizes once they are decoded; ask for frames")
        self._held, self._start, self._frame = b"".join(frames), number * size, size
