"""What an operation counts: objects, and the bytes that passed through this server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ProgressCounter:
    """Counts of objects of an operation. ``listed`` are all that belong to it, as far as they have been counted."""

    listed: int = 0
    success: int = 0
    failure: int = 0

    @property
    def pending(self) -> int:
        return max(0, self.listed - self.success - self.failure)


class Transfer(NamedTuple):
    """What has come from a bucket, or has gone into it.

    ``bytes`` of the objects that an import has read to their end, failures too, and of those that an export has
    written. Each counts once, with its size in the bucket, however often it was sent: so the number is the same after a
    restart. ``unchecked`` of the objects that were read came from a provider that has no checksum of their bytes.
    ``files`` are those that an export has written: more than instances where each frame is an image.
    """

    bytes: int = 0
    unchecked: int = 0
    files: int = 0


class Queue(NamedTuple):
    """Operations that are not done: ``unclaimed`` by any live server, ``claimed`` by one. ``age`` is how many seconds
    ago the oldest unclaimed one was created, 0 where there is none."""

    unclaimed: int = 0
    claimed: int = 0
    age: float = 0.0


NO_OBJECTS, NO_TRANSFER = ProgressCounter(), Transfer()
