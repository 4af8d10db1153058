"""Deflated datasets (PS3.5 §A.5)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from struct import pack

from gantry.dicom.faults import cut_off, malformed
from gantry.dicom.walk import MAX_PADDING, ReadAt
from gantry.errors import InvalidArgument
from gantry.reasons import Reason

MAX_INFLATED = 2 * 1024**3
INFLATE_CHUNK = 64 * 1024
STATE_DISTANCE = 32 << 20
"""Inflated bytes between the places that reading can begin at. A state of zlib has some 100 KB: 64 of them in the
largest dataset are 7 MB."""


class _Stream:
    """The inflated bytes in chunks of at most INFLATE_CHUNK, from a place on. ``at`` is the place of the next chunk."""

    __slots__ = ("at", "consumed", "inflater")

    def __init__(self, consumed: int) -> None:
        self.inflater, self.consumed, self.at = zlib.decompressobj(-zlib.MAX_WBITS), consumed, 0

    def copy(self) -> _Stream:
        made = _Stream(self.consumed)
        made.inflater, made.at = self.inflater.copy(), self.at
        return made

    def next_chunk(self, read: ReadAt) -> bytes:
        """Empty at the end. Raises InvalidArgument for damaged bytes, and where they end too early."""
        while not self.inflater.eof:
            data = self.inflater.unconsumed_tail or read(self.consumed, INFLATE_CHUNK)
            if not self.inflater.unconsumed_tail:
                self.consumed += len(data)
            try:
                chunk = self.inflater.decompress(data, INFLATE_CHUNK)
            except zlib.error:
                raise malformed(f"the deflated dataset is damaged before byte {self.consumed}") from None
            if chunk:
                self.at += len(chunk)
                return chunk
            if not data and not self.inflater.eof:
                raise cut_off(f"the object ends at byte {self.consumed}, before the end of its deflated dataset")
        return b""


class Inflated:
    """A deflated dataset (PS3.5 §A.5) as something to read from, in the memory of one chunk and what is asked for.

    ``size`` is that of the dataset, where the caller knows it. Reading forward is one pass. Reading backward goes on at
    a state that was kept on the way, at most STATE_DISTANCE bytes before the place. Nothing is written to a disk.
    """

    def __init__(self, read_at: ReadAt, start: int, object_size: int, size: int = MAX_INFLATED) -> None:
        self.size = size
        self._read, self._start, self._object_size = read_at, start, object_size
        self._stream = _Stream(start)
        self._states = [self._stream.copy()]
        self._chunk = b""

    def measure(self) -> int:
        """Its size in bytes, after a pass over all of it. Raises InvalidArgument for what is damaged or too long."""
        return sum(map(len, self._chunks()))

    def read_at(self, offset: int, length: int) -> bytes:
        """Fewer bytes only at the end. Raises InvalidArgument."""
        stop = min(offset + length, self.size)
        self._seek(offset)
        found = BytesIO()
        while offset < stop:
            at = offset - self._stream.at + len(self._chunk)
            piece = self._chunk[at : at + stop - offset]
            if len(piece) == length:
                return piece
            offset += found.write(piece)
            if offset < stop and not self._advance():
                break
        return found.getvalue()

    def _seek(self, offset: int) -> None:
        """Make the chunk the one that has the byte at ``offset``, or the last one."""
        known = next(state for state in reversed(self._states) if state.at <= offset)
        if known.at > self._stream.at or offset < self._stream.at - len(self._chunk):
            self._stream, self._chunk = known.copy(), b""
        while self._stream.at <= offset and self._advance():
            pass

    def _advance(self) -> bool:
        if self._stream.at >= self._states[-1].at + STATE_DISTANCE:
            self._states.append(self._stream.copy())
        chunk = self._stream.next_chunk(self._deflated)
        self._chunk = chunk or self._chunk
        return bool(chunk)

    def _deflated(self, offset: int, length: int) -> bytes:
        length = min(length, self._object_size - offset)
        return self._read(offset, length) if length else b""

    def _chunks(self) -> Iterator[bytes]:
        stream, crc = _Stream(self._start), 0
        while chunk := stream.next_chunk(self._deflated):
            if stream.at > MAX_INFLATED:
                raise InvalidArgument(
                    f"the deflated dataset inflates to more than {MAX_INFLATED} bytes", kind=Reason.TOO_LARGE
                )
            crc = zlib.crc32(chunk, crc)
            yield chunk
        self._require_end(stream.consumed - len(stream.inflater.unused_data), crc, stream.at)

    def _require_end(self, end: int, crc: int, total: int) -> None:
        """A gzip trailer and zeros may follow."""
        rest = self._deflated(end, MAX_PADDING + 1)
        after = rest[8:] if rest.startswith(pack("<II", crc, total)) else rest
        if len(rest) > MAX_PADDING or any(after):
            raise malformed(f"{self._object_size - end} unknown bytes follow the deflated dataset at byte {end}")
