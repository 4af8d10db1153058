"""Bytes that parts are read of: in memory, or where they lie in a file."""

from __future__ import annotations

from typing import Protocol

Buffer = bytes | memoryview
"""Views spare the copies of large values."""


class Sliceable(Protocol):
    """A long value of which parts are read: a buffer, or a place in a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> Buffer: ...


class Readable(Protocol):
    """What is needed of an object open for reading."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end of the object."""
        ...


class FileValue:
    """A long value in a file: what is sliced out of it is read."""

    def __init__(self, opened: Readable, start: int, length: int) -> None:
        self._opened, self.start, self._length = opened, start, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice) -> bytes:
        start, stop, _ = where.indices(self._length)
        return self._opened.read_at(self.start + start, max(0, stop - start))


class Held:
    """A whole object in memory."""

    def __init__(self, data: Buffer) -> None:
        self.data, self.size = data, len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])
