"""How far the index has come, beside blobs in a bucket: written some seconds after the transactions, so that no
transaction waits for a network, and seldom, because each write costs a request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from gantry.errors import FailedPrecondition, StatusError
from gantry.storage.generation_marks import Mark, mark_path, parse_mark
from gantry.storage.remote.place_files import PlaceFiles

logger = logging.getLogger(__name__)

_REST_SECONDS = 10.0
"""After each write: about 9,000 requests a day for each place of a busy server, some cents."""
_CLOSE_SECONDS = 5.0  # as long as the marks of directories are waited for

_COPIED = (
    "a copy of this server uses the same bucket of stored instances; nothing that is deleted here leaves the bucket "
    "until one of them is stopped and the other started again"
)


class GenerationCopies:
    """Writes the number of the last transaction into the bucket, in a thread of its own: a bucket that hangs holds
    nobody up. ``remote`` are the places with their blobs there, ``mark`` is that of the index. ``read_commits`` asks
    the index how many transactions it has: other servers that use it write there too. The number never goes down.

    ``trouble``: a number stands there that this index has not reached. So a copy of this server, which has its mark,
    writes to the same bucket, and rows that this one does not know name bytes there."""

    def __init__(self, remote: Mapping[str, PlaceFiles], mark: str, read_commits: Callable[[], int]) -> None:
        self._remote, self._mark, self._read_commits = remote, mark, read_commits
        self._commits = self._written = 0
        self._wake, self._closing = threading.Event(), threading.Event()
        self._failed: set[str] = set()
        self.trouble = ""
        self._thread = threading.Thread(target=self._work, name="marks in the bucket", daemon=True)
        if remote:
            self._thread.start()

    def note(self, commits: int) -> None:
        """A transaction is on disk."""
        self._commits = commits
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Return when the last number is in the bucket, or soon where that does not answer."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            self._write()
            self._closing.wait(_REST_SECONDS)
        self._write()

    def _write(self) -> None:
        own = self._commits
        if own == self._written:
            return
        commits = self._find_commits(own)  # of other servers too: they need not write them then
        written = [self._write_one(place, files, own, commits) for place, files in self._remote.items()]
        if all(written):
            self._written = own
        else:
            self._wake.set()  # again, after the rest

    def _find_commits(self, least: int) -> int:
        """How many transactions there are now; the index is closed before this is."""
        if not self._closing.is_set():
            with suppress(StatusError):
                return max(least, self._read_commits())
        return least

    def _write_one(self, place: str, files: PlaceFiles, own: int, commits: int) -> bool:
        name, new, found = mark_path("", place).name, Mark(self._mark, commits).format(), 0

        def change(text: str | None) -> str | None:
            nonlocal found
            there = _parse(text)
            found = there.commits if there is not None and there.mark == self._mark else 0
            return None if found >= own else new

        try:
            files.update(name, change)
        except StatusError as error:
            if place not in self._failed:  # once, until it can be written again
                logger.warning("%s/%s cannot be written: %s", files.address, name, error.what)
            self._failed.add(place)
            return False
        self._failed.discard(place)
        if found > commits:
            self._look_for_copy(f"{files.address}/{name}", found)
        return True

    def _look_for_copy(self, where: str, there: int) -> None:
        """Whether an index with this mark has come further than this one has by now. The number there stays: the next
        start here is told by it."""
        if self.trouble or self._closing.is_set():
            return
        with suppress(StatusError):
            if there > (commits := self._read_commits()):
                self.trouble = _COPIED
                logger.error("%s says %d transactions, not %d: %s", where, there, commits, _COPIED)


def _parse(text: str | None) -> Mark | None:
    """None for one that is damaged, too: it is written anew."""
    with suppress(FailedPrecondition):
        return None if text is None else parse_mark(text, "")
    return None
