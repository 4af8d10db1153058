"""The header of an instance: all its elements, without the values that are too long for an index."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

_HEAD = Struct("<BBHI")  # version, flags, number of cuts, length of the meta group
_CUT = Struct("<IQ")
_VERSION, _EXPLICIT, _LITTLE = 1, 1, 2


class Skeleton(NamedTuple):
    """``meta`` is the file meta group, explicit VR little endian, without the letters DICM.

    ``body`` is the dataset in the encoding it was written in (inflated where it was deflated), with some top-level
    values left out: ``cuts`` are pairs of the position in ``body`` where the header of such an element begins, and
    the number of bytes that followed that header in the file, delimiters included. The next element stands right
    behind the header. ``explicit`` and ``little`` say how ``body`` is encoded, whatever the transfer syntax claims.
    """

    meta: bytes
    body: bytes
    cuts: tuple[tuple[int, int], ...]
    explicit: bool
    little: bool

    def to_bytes(self) -> bytes:
        flags = _EXPLICIT * self.explicit | _LITTLE * self.little
        head = _HEAD.pack(_VERSION, flags, len(self.cuts), len(self.meta))
        return b"".join((head, *(_CUT.pack(*cut) for cut in self.cuts), self.meta, self.body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Skeleton:
        """What ``to_bytes`` wrote."""
        _, flags, cuts, meta = _HEAD.unpack_from(data)
        start = _HEAD.size + cuts * _CUT.size
        found = tuple(_CUT.iter_unpack(data[_HEAD.size : start]))
        body = start + meta
        return cls(data[start:body], data[body:], found, bool(flags & _EXPLICIT), bool(flags & _LITTLE))
