"""An object of a bucket, open for reading: held in memory where it is small, by ranges where it is not."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Self

from gantry.calls_ahead import call_ahead
from gantry.errors import DataLoss, FailedPrecondition
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.remote.checking import check_all, is_whole
from gantry.storage.remote.client import Client

HELD_BYTES = 8 << 20
"""Up to here an object is read whole by one request, and held until it is closed."""
WINDOW_BYTES = 8 << 20  # of a longer one, by one request
HEAD_BYTES = 256 << 10
"""What is read of a longer object when it is opened: nearly all headers are shorter, so they need no second request."""
_WINDOWS_AHEAD = 3
_MOST_UNPACKED = 256 << 20  # of an object with Content-Encoding: gzip, which is unpacked in memory


class RemoteObject(OpenedObject):
    """One version of an object: every request names its tag. Raises Aborted where it was replaced meanwhile.

    ``found`` is what the listing or a HEAD request said.
    """

    def __init__(self, client: Client, found: ObjectMeta) -> None:
        self.client, self.found = client, found
        self.key, self.size, self.is_unpacked = found.key, found.size, False
        length = found.size if found.size <= HELD_BYTES else HEAD_BYTES
        self._head, encoding = client.get(found, 0, length)
        if self.is_held and not is_whole(self._head, found, client.get_checksums):
            self._head, encoding = client.get(found, 0, length)
            if not is_whole(self._head, found, client.get_checksums):
                raise DataLoss("the bytes that came are not those of the object: their checksum differs")
        if encoding == "gzip" and self._head[:2] == b"\x1f\x8b":
            self._unpack()

    @property
    def is_held(self) -> bool:
        return len(self._head) == self.size

    def _unpack(self) -> None:
        if not self.is_held:
            raise FailedPrecondition(
                f"the object is compressed (Content-Encoding: gzip) and larger than {HELD_BYTES} bytes",
                advice="store it without a Content-Encoding",
            )
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            data = unpacker.decompress(self._head, _MOST_UNPACKED)
        except zlib.error:
            raise DataLoss("the object says Content-Encoding: gzip, and cannot be unpacked") from None
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise FailedPrecondition(f"the object cannot be unpacked to less than {_MOST_UNPACKED} bytes")
        self._head, self.size, self.is_unpacked = data, len(data), True

    def read_at(self, offset: int, length: int) -> bytes:
        if offset + length <= len(self._head) or self.is_held:
            return self._head[offset : offset + length]
        wanted = min(length, self.size - offset)
        return self.client.get(self.found, offset, wanted)[0] if wanted > 0 else b""

    def chunks(self) -> Iterator[bytes]:
        """Raises DataLoss at the end where they are not the bytes that the provider has a checksum of."""
        return iter((self._head,)) if self.is_held else iter(self._check_windows())

    def _check_windows(self) -> Iterable[bytes]:
        return check_all(self._read_windows(), self.found, self.client.get_checksums)

    def _read_windows(self) -> Iterator[bytes]:
        offsets = range(0, self.size, WINDOW_BYTES)
        with closing(call_ahead(self._read_window, offsets, lambda _: WINDOW_BYTES, _WINDOWS_AHEAD)) as windows:
            for _, read in windows:
                yield read()

    def _read_window(self, offset: int) -> bytes:
        return self.client.get(self.found, offset, min(WINDOW_BYTES, self.size - offset))[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._head = b""
