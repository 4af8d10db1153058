"""An object of a bucket, open for reading: held in memory where it is small, by ranges where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from types import TracebackType
from typing import IO, Self

from gantry.calls_ahead import call_ahead
from gantry.errors import Spoilt
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.remote.checking import Comparison, compare, compare_all
from gantry.storage.remote.client import Client
from gantry.storage.remote.unpacking import MAGIC, is_packed, unpack

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
    that are read. ``is_unchecked``: bytes were read that could be compared with no checksum.
    """

    def __init__(self, client: Client, found: ObjectMeta) -> None:
        self.client, self.found = client, found
        self.key, self.size, self.is_unpacked, self.is_unchecked = found.key, found.size, False, False
        self._plain: IO[bytes] | None = None
        length = found.size if found.size <= HELD_BYTES else HEAD_BYTES
        self._head, encoding = client.get(found, 0, length)
        if self.is_held and self._compare_head() is Comparison.DIFFERENT:
            self._head, encoding = client.get(found, 0, length)
            if self._compare_head() is Comparison.DIFFERENT:
                raise Spoilt(_SPOILT)
        if is_packed(encoding) and self._head.startswith(MAGIC):
            self._plain, self.size = unpack(self.chunks(), HELD_BYTES)
            self._head, self.is_unpacked = b"", True

    @property
    def is_held(self) -> bool:
        return not self.is_unpacked and len(self._head) == self.size

    def _compare_head(self) -> Comparison:
        outcome = compare(self._head, self.found, self.client.get_checksums)
        self.is_unchecked = outcome is Comparison.UNKNOWN
        return outcome

    def read_at(self, offset: int, length: int) -> bytes:
        if self._plain is not None:
            self._plain.seek(offset)
            return self._plain.read(length)
        if offset + length <= len(self._head) or self.is_held:
            return self._head[offset : offset + length]
        wanted = min(length, self.size - offset)
        return self.client.get(self.found, offset, wanted)[0] if wanted > 0 else b""

    def chunks(self) -> Iterator[bytes]:
        """Raises Spoilt where they are not the bytes that ``read_at`` has given before, or, at the end, not those that
        the provider has a checksum of. Then both ask for them anew."""
        if self._plain is not None:
            return self._read_plain()
        return iter((self._head,)) if self.is_held else self._check_windows()

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
        with closing(call_ahead(self._read_window, offsets, lambda _: WINDOW_BYTES, _WINDOWS_AHEAD)) as windows:
            for offset, read in windows:
                window = read()
                if not offset and not window.startswith(self._head):
                    raise self._make_spoilt()
                yield window

    def _read_window(self, offset: int) -> bytes:
        return self.client.get(self.found, offset, min(WINDOW_BYTES, self.found.size - offset))[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._head = b""
        if self._plain is not None:
            self._plain.close()
