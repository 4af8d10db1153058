"""Deflated datasets (PS3.5 §A.5)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import pack

from gantry.dicom.walk import MAX_PADDING, ReadAt
from gantry.errors import InvalidArgument

MAX_INFLATED = 2 * 1024**3
INFLATE_CHUNK = 64 * 1024


class Inflated:
    """A deflated dataset (PS3.5 §A.5) as something to read from, forward only, in the memory of one window.

    It is inflated twice, once for its size and once to be walked: nothing of what it claims to be reaches a disk.
    """

    def __init__(self, read_at: ReadAt, start: int, size: int) -> None:
        self.read, self.deflated_at, self.size = read_at, start, size
        self.rest = self.chunks()
        self.buffer, self.start = bytearray(), 0

    def measure(self) -> int:
        return sum(map(len, self.chunks()))

    def read_at(self, offset: int, length: int) -> bytes:
        while len(self.buffer) < offset - self.start + length and (chunk := next(self.rest, b"")):
            self.buffer += chunk
            passed = min(offset - self.start, len(self.buffer))
            del self.buffer[:passed]
            self.start += passed
        at = offset - self.start
        return bytes(self.buffer[at : at + length])

    def deflated(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        return self.read(offset, length) if length else b""

    def chunks(self) -> Iterator[bytes]:
        inflater, at, total, crc = zlib.decompressobj(-zlib.MAX_WBITS), self.deflated_at, 0, 0
        while not inflater.eof:
            data = inflater.unconsumed_tail
            if not data:
                data = self.deflated(at, INFLATE_CHUNK)
                at += len(data)
            try:
                chunk = inflater.decompress(data, INFLATE_CHUNK)
            except zlib.error:
                raise InvalidArgument(f"the deflated dataset is damaged before byte {at}") from None
            if not data and not chunk and not inflater.eof:
                raise InvalidArgument(f"the object ends at byte {at}, before the end of its deflated dataset")
            total += len(chunk)
            if total > MAX_INFLATED:
                raise InvalidArgument(f"the deflated dataset inflates to more than {MAX_INFLATED} bytes")
            crc = zlib.crc32(chunk, crc)
            yield chunk
        end = at - len(inflater.unused_data)
        rest = self.deflated(end, MAX_PADDING + 1)
        after = rest[8:] if rest.startswith(pack("<II", crc, total)) else rest
        if len(rest) > MAX_PADDING or any(after):
            raise InvalidArgument(f"{self.size - end} unknown bytes follow the deflated dataset at byte {end}")
