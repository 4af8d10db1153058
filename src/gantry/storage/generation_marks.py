"""Marks of places: which index their blobs belong to, and how far that index has come.

``ROOT/PLACE.generation`` stands beside the directory ``ROOT/PLACE`` of the blobs: two lines, the mark and the number of
the last transaction that was reported, in digits of a fixed count. The number is written in place, some tenths of a
second after the transaction and not before, and is on the disk some seconds later. So it never says more than the index
that has written it, and an index that says less is an older one.

``DATA/index.generation`` beside the index says the same, and sooner: a transaction is answered after its number is
written there. So it outlives kill -9 to the last transaction. It is not synced: that would cost each transaction as
much as its commit. After a power cut the places may know more than it does.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gantry.durable_files import make_directory, replace_file
from gantry.errors import FailedPrecondition
from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)

INDEX = "index"
"""Stands for the index where a place is named: its mark is ``DATA/index.generation``."""

_DIGITS = 20  # of 2^63, and one more
_FORM = re.compile(rf"([0-9a-f]{{32}})\n([0-9]{{{_DIGITS}}})\n")
_NUMBER_AT = 33  # bytes before the number
_SYNC_SECONDS = 5
_REST_SECONDS = 0.2
"""After each write: however many transactions there are in a second, their numbers are written five times."""


class Mark(NamedTuple):
    mark: str
    commits: int

    def format(self) -> str:
        return f"{self.mark}\n{self.commits:0{_DIGITS}d}\n"


def mark_path(root: str, place: str) -> Path:
    return Path(root) / f"{place}.generation"


def read_mark(root: str, place: str) -> Mark | None:
    """None where the place has none. Raises FailedPrecondition."""
    path = mark_path(root, place)
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be read: {describe_os_error(error)}") from None
    return parse_mark(text, str(path))


def parse_mark(text: str, where: str) -> Mark:
    """What a file of a mark says. Raises FailedPrecondition, which names ``where`` it stands."""
    found = _FORM.fullmatch(text)
    if not found:
        raise FailedPrecondition(
            f"{where} is damaged: it says which index the blobs beside it belong to",
            advice="put it back from a backup",
        )
    return Mark(found[1], int(found[2]))


def write_mark(root: str, place: str, mark: Mark) -> None:
    """Durable on return. Raises FailedPrecondition."""
    path = mark_path(root, place)
    data = mark.format().encode("ascii")
    try:
        make_directory(path.parent)
        replace_file(path, path.with_name(f".{path.name}.new"), data)
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be written: {describe_os_error(error)}") from None


def holds_blobs(root: str, place: str) -> bool:
    """Whether there is any file in the directory of a place."""
    return any(names for _, _, names in os.walk(os.path.join(root, place)))


class _IndexMark:
    """The mark beside the index. It is kept open, as the index is: one call of the system for each number."""

    def __init__(self, data: str) -> None:
        """Raises FailedPrecondition."""
        self._path = mark_path(data, INDEX)
        self._failed = False
        self._lock = threading.Lock()  # after ``close`` the number may be that of another file
        try:
            self._fd: int | None = _open(data, INDEX)
        except OSError as error:
            raise FailedPrecondition(f"{self._path} cannot be written: {describe_os_error(error)}") from None

    def write(self, commits: int) -> None:
        try:
            with self._lock:
                if self._fd is not None:
                    _write_number(self._fd, commits)
        except OSError as error:
            if not self._failed:
                logger.warning("%s cannot be written: %s", self._path, describe_os_error(error))
            self._failed = True
        else:
            self._failed = False

    def close(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
            self._fd = None


class MarkWriter:
    """Writes the number of the last transaction into the mark beside the index at once, and into those of all places in
    a thread of its own: a disk that hangs holds nobody up. ``places``: place → root; ``data`` has the index.

    The files of places are not kept open: a disk that went away and came back has others, and one with a file open
    cannot be unmounted.
    """

    trouble = ""  # no other server uses a directory that this one has locked

    def __init__(self, places: Mapping[str, str], data: str) -> None:
        """Raises FailedPrecondition."""
        self._places = {place: root for place, root in places.items() if _is_writable(root, place)}
        self._marks = {place: read_mark(root, place) for place, root in self._places.items()}
        self._commits = self._written = self._synced = 0
        self._wake, self._closing = threading.Event(), threading.Event()
        self._failed: set[str] = set()
        self._index_mark = _IndexMark(data)
        self._thread = threading.Thread(target=self._work, name="marks", daemon=True)
        self._thread.start()

    def note(self, commits: int) -> None:
        """A transaction is on disk. Returns when kill -9 cannot make that unknown. One call at a time."""
        self._index_mark.write(commits)
        self._commits = commits
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Return when the last number is on the disks, or soon where one of them hangs."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_SYNC_SECONDS)
        self._index_mark.close()

    def _work(self) -> None:
        last = time.monotonic()
        while not self._closing.is_set():
            self._wake.wait(_SYNC_SECONDS if self._synced < self._written else None)
            self._wake.clear()
            self._write()
            if time.monotonic() - last >= _SYNC_SECONDS:
                self._sync()
                last = time.monotonic()
            self._closing.wait(_REST_SECONDS)
        self._write()
        self._sync()

    def _write(self) -> None:
        commits = self._commits
        if commits != self._written:
            self._on_each(lambda fd: _write_number(fd, commits))
            self._written = commits

    def _sync(self) -> None:
        if self._synced != self._written:
            self._on_each(os.fsync)
            self._synced = self._written

    def _on_each(self, act: Callable[[int], object]) -> None:
        for place, root in self._places.items():
            try:
                self._on(place, root, act)
            except OSError as error:
                self._report(place, describe_os_error(error))
            else:
                self._failed.discard(place)

    def _on(self, place: str, root: str, act: Callable[[int], object]) -> None:
        wanted = self._marks[place]
        fd = _open(root, place)
        try:
            if wanted is None or os.pread(fd, _NUMBER_AT, 0) != f"{wanted.mark}\n".encode():
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))  # another disk is mounted there
            act(fd)
        finally:
            os.close(fd)

    def _report(self, place: str, why: str) -> None:
        """Once, until it can be written again."""
        if place not in self._failed:
            logger.warning("the mark of %s cannot be written: %s", place, why)
        self._failed.add(place)


def _write_number(fd: int, commits: int) -> None:
    os.pwrite(fd, f"{commits:0{_DIGITS}d}".encode(), _NUMBER_AT)


def _open(root: str, place: str) -> int:
    return os.open(mark_path(root, place), os.O_RDWR | os.O_CLOEXEC)


def _is_writable(root: str, place: str) -> bool:
    """Not on a disk that is read-only: nothing new comes to it, and what is there can be read."""
    try:
        os.close(_open(root, place))
    except OSError as error:
        path = mark_path(root, place)
        if error.errno == errno.EROFS:
            logger.warning("%s cannot be written: %s", path, describe_os_error(error))
            return False
        raise FailedPrecondition(f"{path} cannot be written: {describe_os_error(error)}") from None
    return True
