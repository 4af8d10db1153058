"""How far the index has come, beside blobs in a bucket: written some seconds after the transactions, so that no
transaction waits for a network, and seldom, because each write costs a request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
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
    nobody up. ``remote`` are the places with their blobs there, ``mark`` is that of the index.

    ``trouble``: a number stands there that this index has not reached. So a copy of this server, which has its mark,
    writes to the same bucket, and rows that this one does not know name bytes there."""

    def __init__(self, remote: Mapping[str, PlaceFiles], mark: str) -> None:
        self._remote, self._mark = remote, mark
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
        commits = self._commits
        if commits == self._written:
            return
        written = [self._write_one(place, files, Mark(self._mark, commits)) for place, files in self._remote.items()]
        if all(written):
            self._written = commits
        else:
            self._wake.set()  # again, after the rest

    def _write_one(self, place: str, files: PlaceFiles, mark: Mark) -> bool:
        name = mark_path("", place).name
        try:
            if self._is_overtaken(files, name, mark):
                return True
            files.write(name, mark.format())
        except StatusError as error:
            if place not in self._failed:  # once, until it can be written again
                logger.warning("%s/%s cannot be written: %s", files.address, name, error.what)
            self._failed.add(place)
            return False
        self._failed.discard(place)
        return True

    def _is_overtaken(self, files: PlaceFiles, name: str, mark: Mark) -> bool:
        """Whether an index with this mark has come further. Its number stays: the next start here is told by it. Raises
        FailedPrecondition."""
        there = _parse(files.read(name))
        if there is None or there.mark != mark.mark or there.commits <= mark.commits:
            return False
        if not self.trouble:
            self.trouble = _COPIED
            where = f"{files.address}/{name}"
            logger.error("%s says %d transactions, not %d: %s", where, there.commits, mark.commits, _COPIED)
        return True


def _parse(text: str | None) -> Mark | None:
    """None for one that is damaged, too: it is written anew."""
    with suppress(FailedPrecondition):
        return None if text is None else parse_mark(text, "")
    return None
