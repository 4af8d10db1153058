"""An object of a bucket, open for reading: held in memory where it is small, by ranges where it is not."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Self

from gantry.calls_ahead import call_ahead
from gantry.calls_that_hang import find_check
from gantry.errors import DataLoss, Spoilt
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.remote.checking import Comparison, compare, compare_all
from gantry.storage.remote.client import Client
from gantry.storage.remote.unpacking import MAGIC, Unpacked, is_packed, unpack

HELD_BYTES = 8 << 20
"""Up to here an object is read whole by one request, and held until it is closed."""
WINDOW_BYTES = 8 << 20  # of a longer one, by one request
HEAD_BYTES = 256 << 10
"""What is read of a longer object when it is opened: nearly all headers are shorter, so they need no second request."""
_WINDOWS_AHEAD = 3
_SPOILT = "the bytes that came are not those of the object: their checksum differs"


class RemoteObject(OpenedObject):
    """One version of an object: every request names its tag. Raises Aborted where it was replaced meanwhile.

    ``found`` is what the listing or a HEAD request said. ``is_unpacked``: the provider stores other bytes than those
    that are read; then ``size`` is known inside a ``with``.
    """

    held_bytes = HELD_BYTES

    def __init__(self, client: Client, found: ObjectMeta) -> None:
        self.client, self.found = client, found
        self.key, self.size, self.is_unpacked, self.is_unchecked = found.key, found.size, False, False
        self._plain: Unpacked | None = None
        self._read_head()
        if self.is_held and self._compare_head() is Comparison.DIFFERENT:
            self._read_head()
            if self._compare_head() is Comparison.DIFFERENT:
                raise Spoilt(_SPOILT)

    def _read_head(self) -> None:
        length = self.found.size if self.found.size <= self.held_bytes else HEAD_BYTES
        self._head, encoding = self.client.get(self.found, 0, length)
        self.is_unpacked = is_packed(encoding) and self._head.startswith(MAGIC)
        self.packed_size = self.found.size if self.is_unpacked else None

    @property
    def is_held(self) -> bool:
        return len(self._head) == self.found.size

    def read_anew(self) -> bool:
        if self._plain is not None or self.is_held:
            return False  # what was compared is what the provider has
        self._read_head()
        if self.is_unpacked:
            self._unpack()
        return True

    def _unpack(self) -> None:
        self._plain = unpack(self._read_packed, HELD_BYTES)
        self.size = self._plain.size
        self._head = b""

    def _read_packed(self) -> Generator[bytes, None, None]:
        """What the provider has, compared."""
        if self.is_held:
            yield self._head
        else:
            yield from self._check_windows()

    def _compare_head(self) -> Comparison:
        outcome = compare(self._head, self.found, self.client.get_checksums)
        self.is_unchecked = outcome is Comparison.UNKNOWN
        return outcome

    def read_at(self, offset: int, length: int) -> bytes:
        if self._plain is not None:
            self._plain.file.seek(offset)
            return self._plain.file.read(length)
        if offset + length <= len(self._head) or self.is_held:
            return self._head[offset : offset + length]
        wanted = min(length, self.size - offset)
        return self.client.get(self.found, offset, wanted)[0] if wanted > 0 else b""

    def chunks(self) -> Iterator[bytes]:
        """Raises Spoilt where they are not the bytes that ``read_at`` has given before, or, at the end, not those that
        the provider has a checksum of. Then both ask for them anew."""
        return self._read_packed() if self._plain is None else self._read_plain()

    def _read_plain(self) -> Iterator[bytes]:
        for offset in range(0, self.size, WINDOW_BYTES):
            yield self.read_at(offset, WINDOW_BYTES)

    def _check_windows(self) -> Iterator[bytes]:
        for piece in compare_all(self._read_windows(), self.found, self.client.get_checksums):
            if not isinstance(piece, Comparison):
                yield piece
                continue
            self.is_unchecked = piece is Comparison.UNKNOWN
            if piece is Comparison.DIFFERENT:
                raise self._make_spoilt()

    def _make_spoilt(self) -> Spoilt:
        self._head = b""
        return Spoilt(_SPOILT, advice="try again")

    def _read_windows(self) -> Iterator[bytes]:
        offsets = range(0, self.found.size, WINDOW_BYTES)
        ahead = _WINDOWS_AHEAD if find_check() is None else 1  # who may be told to end waits for no other thread
        with closing(call_ahead(self._read_window, offsets, lambda _: WINDOW_BYTES, ahead)) as windows:
            for offset, read in windows:
                window = read()
                if not offset and not window.startswith(self._head):
                    raise self._make_spoilt()
                yield window

    def _read_window(self, offset: int) -> bytes:
        return self.client.get(self.found, offset, min(WINDOW_BYTES, self.found.size - offset))[0]

    def __enter__(self) -> Self:
        """Unpacks it: many are opened ahead, and only one of them at a time may take memory and disk that nobody has
        counted. Raises what ``unpack`` raises."""
        if self.is_unpacked:
            try:
                self._unpack()
            except DataLoss:
                if not self.read_anew():
                    raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._head = b""
        if self._plain is not None:
            self._plain.close()
