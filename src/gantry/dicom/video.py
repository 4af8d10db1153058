"""Pixel Data that is one video stream (PS3.5 §A.4): given as it is stored, never decoded."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from gantry.dicom.buffers import FileValue, Readable
from gantry.dicom.encapsulation import fragments
from gantry.dicom.forms import MP4, MPEG, TRANSPORT_STREAM, video_types
from gantry.errors import InvalidArgument

_PACKET = 188


class Video:
    """The stream: the fragments between ``start`` and ``end`` of a file, one after the other.

    ``media_type`` is what its first bytes are, else that of the transfer syntax. Raises InvalidArgument for fragments
    that are damaged, FailedPrecondition for a million of them.
    """

    def __init__(self, opened: Readable, start: int, end: int, syntax: str) -> None:
        self._value = FileValue(opened, start, end - start)
        _, *found = list(fragments(self._value)) or [(0, 0)]
        self._fragments = [each for each in found if each[1]]
        self._starts = list(accumulate((length for _, length in self._fragments), initial=0))
        self.size = self._starts[-1]
        if not self.size:
            raise InvalidArgument("the encapsulated pixel data has no fragments")
        self.media_type = _recognise_container(self.read_at(0, _PACKET + 1)) or video_types(syntax)[0]

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer at the end of a fragment, none at the end of the stream."""
        if offset >= self.size:
            return b""
        number = bisect_right(self._starts, offset) - 1
        start, size = self._fragments[number]
        inside = offset - self._starts[number]
        return self._value[start + inside : start + min(size, inside + length)]


def _recognise_container(head: bytes) -> str:
    """By the letters of MP4 (ISO/IEC 14496-12 §4.3), the start codes and the sync bytes of MPEG (ISO/IEC 13818-1)."""
    if head[4:8] == b"ftyp":
        return MP4
    if head.startswith((b"\0\0\1\xba", b"\0\0\1\xb3")):
        return MPEG
    return TRANSPORT_STREAM if head[:1] == head[_PACKET:] == b"G" else ""
