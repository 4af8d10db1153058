"""Lists a directory tree in the order of object keys, in bounded memory."""

from __future__ import annotations

import errno
import heapq
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gantry.checkpoints import list_reported
from gantry.errors import PermissionDenied, StatusError, Unavailable
from gantry.reasons import Reason
from gantry.resources import ObjectMeta
from gantry.storage.beneath import open_directory
from gantry.storage.disks import READABLE
from gantry.system_errors import describe_os_error
from gantry.worker_calls import Check

TEMPORARY = b".~gantry-"
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
SLICE = 500  # entries of which the status is read at a time; the directory is closed in between
WINDOW = 100_000  # names of one directory in memory; a larger directory is read in several passes


class Part(NamedTuple):
    """Which keys are wanted: by prefix, after a key, and (unless None) with at most ``depth`` separators.

    ``gaps``: a directory that is removed while it is listed is reported, too. Otherwise it has no objects.
    """

    prefix: bytes
    start_after: bytes
    depth: int | None
    gaps: bool = False

    def reaches(self, key: bytes) -> bool:
        """False when no wanted key is at or below ``key``; a directory's key ends in ``/``."""
        if self.depth is not None and key.count(b"/") > self.depth:
            return False
        if not key.endswith(b"/"):
            return key.startswith(self.prefix) and key > self.start_after
        leads = key.startswith(self.prefix) or self.prefix.startswith(key)
        return leads and (key > self.start_after or self.start_after.startswith(key))


def walk(root: bytes, part: Part, check: Check) -> Iterator[ObjectMeta]:
    """Objects below ``root`` sorted by the bytes of their keys. ``check`` is called for each directory, and for each
    slice of its names.

    Raises PermissionDenied or Unavailable when ``root`` itself cannot be read. Below it, a directory that cannot be
    read, a link, or a special file is an entry with a problem.
    """
    above = part.prefix.rpartition(b"/")[0]
    base = above + b"/" if above else b""
    if base and not part.reaches(base):
        return
    open_directories = [(base, _list_entries(root, base, part, check, is_known=False))]
    while open_directories:
        base, entries = open_directories[-1]
        try:
            name, found = next(entries, (b"", None))
        except StatusError as error:
            if len(open_directories) == 1:
                raise error.within(os.fsdecode(base).encode("utf-8", "replace").decode()) if base else error from None
            name, found = b"", None
            if base not in list_reported(part.start_after):
                yield ObjectMeta(os.fsdecode(base), 0, error.message)
        if not name:
            open_directories.pop()
        elif found is None:
            open_directories.append((base + name, _list_entries(root, base + name, part, check)))
        else:
            yield found


def describe(status: os.stat_result, key: bytes) -> ObjectMeta:
    """The entry of a file, with a problem if it cannot be opened."""
    name = os.fsdecode(key)
    if stat.S_ISREG(status.st_mode):
        return ObjectMeta(name, status.st_size, "" if _is_utf8(key) else "the object's name is not UTF-8; rename it")
    if stat.S_ISLNK(status.st_mode):
        return ObjectMeta(name, 0, "is a symbolic link; links inside a bucket are not followed")
    return ObjectMeta(name, 0, "is not a regular file")


def _list_entries(
    root: bytes, base: bytes, part: Part, check: Check, is_known: bool = True
) -> Iterator[tuple[bytes, ObjectMeta | None]]:
    """Names of one directory in key order, directories with their ``/`` and None, the others with what they are.

    The ``/`` counts in the order, which is what puts ``a.dcm`` before ``a/b.dcm``. ``is_known``: it was there a moment
    ago. Raises StatusError where it cannot be read, or is not the same directory to its end.
    """
    after, complete = b"", False
    identity: tuple[int, int] | None = None
    while not complete:
        try:
            with _open(root, base) as fd:
                identity = _require_same(fd, identity)
                names, complete = _read_names(fd, base, part, after, check)
                found = _describe_each(fd, names[:SLICE], base)  # most directories are opened this once
            check()
            yield from found
            for start in range(SLICE, len(names), SLICE):
                check()
                with _open(root, base) as fd:
                    _require_same(fd, identity)
                    found = _describe_each(fd, names[start : start + SLICE], base)
                yield from found
        except OSError as error:
            if error.errno in _GONE and not (part.gaps and (is_known or identity is not None)):
                return  # it does not exist, or was removed since it was listed, or a link is in its path: no objects
            raise _translate_list_error(error) from None
        after = names[-1] if names else b""


def list_directories(root: bytes, name: bytes, limit: int) -> list[bytes]:
    """The first names of the directories in ``root/name``, each with a slash at its end. Raises OSError."""
    with _open(root, name) as fd, os.scandir(fd) as entries:
        names = (os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False))
        return heapq.nsmallest(limit, (each + b"/" for each in names if not each.startswith(TEMPORARY)))


def _require_same(fd: int, before: tuple[int, int] | None) -> tuple[int, int]:
    """Raises ESTALE where another directory has come in the place of one whose names are being read."""
    status = os.fstat(fd)
    now = status.st_dev, status.st_ino
    if before not in (None, now):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    return now


@contextmanager
def _open(root: bytes, base: bytes) -> Iterator[int]:
    fd = open_directory(root, base.rstrip(b"/"))
    try:
        yield fd
    finally:
        os.close(fd)


def _describe_each(fd: int, names: list[bytes], base: bytes) -> list[tuple[bytes, ObjectMeta | None]]:
    """As ``_list_entries``; without files that are gone."""
    found = [(name, _describe(fd, name, base)) for name in names]
    return [entry for entry in found if entry[1] is not None or entry[0].endswith(b"/")]


def _describe(fd: int, name: bytes, base: bytes) -> ObjectMeta | None:
    if name.endswith(b"/"):
        return None
    try:
        return describe(os.stat(name, dir_fd=fd, follow_symlinks=False), base + name)
    except FileNotFoundError:
        return None
    except OSError as error:
        return ObjectMeta(os.fsdecode(base + name), 0, f"cannot be read ({describe_os_error(error)})")


def _read_names(fd: int, base: bytes, part: Part, after: bytes, check: Check) -> tuple[list[bytes], bool]:
    """The next names of a directory in order, and whether they are the last."""
    kept: list[bytes] = []
    complete = True
    with os.scandir(fd) as found:
        for number, entry in enumerate(found):
            if number % SLICE == 0:
                check()
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                name += b"/"
            if name > after and not name.startswith(TEMPORARY) and part.reaches(base + name):
                kept.append(name)
                if len(kept) >= 2 * WINDOW:
                    kept = sorted(kept)[:WINDOW]
                    complete = False
    kept.sort()
    return (kept, True) if complete else (kept[:WINDOW], False)


def _translate_list_error(error: OSError) -> StatusError:
    if isinstance(error, PermissionError):
        return PermissionDenied("the server may not list this directory", advice=READABLE, kind=Reason.NO_ACCESS)
    if error.errno in _GONE:
        return Unavailable("the directory was removed while it was listed", kind=Reason.OBJECT_GONE)
    return Unavailable(f"the directory cannot be listed ({describe_os_error(error)})", kind=Reason.OBJECT_UNREADABLE)


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
