"""Segments that are not in the bucket yet: instances are gathered in memory until an object is full, or is flushed.

An object of a bucket is written whole or not at all, so a segment is durable with all of its instances and their table
of contents, or there is nothing of it. Whoever reads or deletes an instance in this process before that finds it here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from weakref import WeakValueDictionary

from gantry.errors import StatusError
from gantry.resources import Uids
from gantry.storage.contents import Row, encode_table
from gantry.storage.extents import Extent, align


class Segment:
    """Safe to use from many threads. ``error`` is why nobody knows whether it is in the bucket."""

    def __init__(self, key: str) -> None:
        self.key, self.end = key, 0
        self.error: StatusError | None = None
        self.is_sent = False
        self.ended = threading.Event()  # it is in the bucket, or will not be
        self._lock = threading.Lock()
        self._held: dict[int, tuple[Row, bytes]] = {}
        self._is_sealed = False
        _pending[key] = self

    def append(self, data: bytes, uids: Uids, crc32c: int) -> str:
        """The key of an instance. No two threads at a time."""
        offset, self.end = self.end, align(self.end + len(data))
        with self._lock:
            self._held[offset] = Row(offset, len(data), uids, crc32c), data
        return str(Extent(self.key, offset, len(data)))

    def read(self, extent: Extent) -> bytes | None:
        """None where it is not held here any more."""
        with self._lock:
            row, data = self._held.get(extent.offset, (None, b""))
        return data if row is not None and row.length == extent.length else None

    def read_crc32cs(self, extents: Collection[Extent]) -> dict[str, int | None]:
        """Of instances that are held here; nothing where one of them is not."""
        with self._lock:
            rows = [self._held[extent.offset][0] for extent in extents if extent.offset in self._held]
        if len(rows) < len(extents):
            return {}
        return {str(Extent(self.key, row.offset, row.length)): row.crc32c for row in rows}

    def discard(self, extents: Collection[Extent]) -> bool:
        """Give instances up. False where it is too late: they are on their way into the bucket."""
        with self._lock:
            if not self._is_sealed:
                for extent in extents:
                    self._held.pop(extent.offset, None)
            return not self._is_sealed

    def discard_rest(self, live: Collection[Extent]) -> bool:
        """The same for all others than these."""
        kept = {extent.offset for extent in live}
        with self._lock:
            if not self._is_sealed:
                self._held = {offset: held for offset, held in self._held.items() if offset in kept}
            return not self._is_sealed

    def seal(self) -> bytes:
        """The bytes of the object; nothing where it has no instance. From now on none comes and none goes."""
        with self._lock:
            self._is_sealed = True
            held = sorted(self._held.items())
        if not held:
            return b""
        pieces, end = [], 0
        for offset, (_, data) in held:
            pieces += [bytes(offset - end), data]
            end = offset + len(data)
        table = align(end)
        pieces += [bytes(table - end), encode_table(self.key, [row for _, (row, _) in held], table)]
        return b"".join(pieces)

    def settle(self, error: StatusError | None) -> None:
        """It is in the bucket, or it will not be, or nobody knows."""
        self.error = error
        _pending.pop(self.key, None)
        with self._lock:
            self._is_sealed, self._held = True, {}
        self.ended.set()


_pending: WeakValueDictionary[str, Segment] = WeakValueDictionary()
"""By their keys, which never repeat, in any bucket."""


def find_pending(key: str) -> Segment | None:
    """A segment of this process that is not in the bucket yet."""
    return _pending.get(key)


def discard_pending(segment: str, extents: Collection[Extent]) -> bool:
    """Give up instances of a segment that is not in the bucket yet. False where it is there, or may be: returns when
    that is known."""
    return _give_up(segment, lambda pending: pending.discard(extents))


def keep_pending(segment: str, live: Collection[Extent]) -> bool:
    """The same for all instances of the segment but these."""
    return _give_up(segment, lambda pending: pending.discard_rest(live))


def _give_up(segment: str, discard: Callable[[Segment], bool]) -> bool:
    pending = find_pending(segment)
    if pending is None:
        return False
    if discard(pending):
        return True
    pending.ended.wait()
    return False
