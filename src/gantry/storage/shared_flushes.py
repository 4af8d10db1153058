"""What several threads write by one writer, and what they give up of it: for writers of directories and of buckets."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from gantry.errors import StatusError
from gantry.storage.extents import Extent, group_by_segment
from gantry.storage.group_commit import GroupCommit

logger = logging.getLogger(__name__)


class Written(Protocol):
    """A file or a segment. ``error`` is why nobody knows whether it is durable."""

    error: StatusError | None


Thing = TypeVar("Thing", bound=Written)


class _Mine(threading.local, Generic[Thing]):
    """What a thread has written to since its last flush."""

    def __init__(self) -> None:
        self.written: set[Thing] = set()


class Flushes(Generic[Thing]):
    """Each thread hears of what it has written itself; those that flush at the same time share the work."""

    def __init__(self, commit: GroupCommit) -> None:
        self._commit, self._mine = commit, _Mine[Thing]()

    def note(self, written: Thing) -> None:
        self._mine.written.add(written)

    def flush(self) -> None:
        """Raises the error of the work, and of what this thread has written to."""
        mine, self._mine.written = self._mine.written, set()
        self._commit.run()
        for each in mine:
            if each.error is not None:
                raise copy.copy(each.error)


def free_again(
    discarded: Iterable[str], free: Callable[[str, Sequence[Extent]], Mapping[str, StatusError]]
) -> list[str]:
    """Free instances that a writer has given up once more; the keys of those that cannot be freed now."""
    left: list[str] = []
    for segment, extents in group_by_segment(list(discarded)):
        failed = free(segment, extents)
        for key, error in failed.items():  # its text has the key: it is for the log alone
            logger.warning("%s is not in use, but cannot be freed now: %s", key, error.message)
        left += failed
    return left
