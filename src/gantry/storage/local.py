"""Object storage in a directory: keys are paths, nothing is normalised, nothing outside the directory is reached.

Durability comes per batch: ``flush`` returns when all that was written before is on disk. A key that a path cannot
be (empty, ``.`` or ``..`` segments, NUL, a segment over 255 bytes) names no object here.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from gantry.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.local_listing import TEMPORARY, crosses_link, walk

_COPY_CHUNK = 64 << 20
_READ_CHUNK = 1 << 20
_NO_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_OPEN = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK
_Filler = Callable[[int], int]
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class LocalObject(OpenedObject):
    """An open file: what is read and what is copied are the same bytes, whatever happens to the name meanwhile."""

    def __init__(self, path: bytes, key: str) -> None:
        self.key = key
        try:
            self.fd = os.open(path, _OPEN)
        except OSError as error:
            raise _read_error(error) from None
        self._stat = os.fstat(self.fd)
        self.size = self._stat.st_size
        if not stat.S_ISREG(self._stat.st_mode):
            os.close(self.fd)
            raise NotFound("is not a regular file")

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self.fd, length, offset)
        except OSError as error:
            raise _read_error(error) from None

    def chunks(self) -> Iterator[bytes]:
        offset = 0
        while chunk := self.read_at(offset, _READ_CHUNK):
            offset += len(chunk)
            yield chunk

    def check_unchanged(self) -> None:
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
            raise Aborted("was changed by someone else while it was read")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.fd)


class LocalBlobStore:
    """One directory as a bucket. ``writer`` tells temporary names of different writers apart.

    With ``write_once`` objects are written under their own names: for keys that nobody reads before their writer has
    told of them. Otherwise an object appears, or is replaced, whole.
    """

    def __init__(self, root: str, writer: str = "", write_once: bool = False) -> None:
        self.root = os.fsencode(os.path.abspath(root))
        self._suffix = b"." + os.fsencode(writer or str(os.getpid()))
        self._write_once = write_once

    def exists(self) -> bool:
        return os.path.isdir(self.root)

    def list(self, prefix: str = "", start_after: str = "", depth: int | None = None) -> Iterator[ObjectMeta]:
        """Objects whose keys begin with ``prefix``, sorted by the bytes of their keys, those after ``start_after``.

        ``depth`` limits the number of ``/`` in a key. What stands in the way of a complete listing (an unreadable
        directory, a link) is an entry with a ``problem``, never a silent gap.
        """
        directory, _, _ = prefix.rpartition("/")
        base = os.fsencode(directory + "/") if directory else b""
        try:
            path = self._path(directory) if directory else self.root
        except NotFound:
            return
        if not crosses_link(self.root, path):
            yield from walk(path, base, os.fsencode(prefix), os.fsencode(start_after), depth)

    def head(self, key: str) -> ObjectMeta:
        """Raises NotFound."""
        with self.open(key) as opened:
            return ObjectMeta(key, opened.size)

    def open(self, key: str) -> LocalObject:
        """Raises NotFound, PermissionDenied, Unavailable."""
        path = self._path(key)
        return LocalObject(path, key)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write an object; the number of bytes. Raises ResourceExhausted when the disk is full."""

        def write(fd: int) -> int:
            return sum(_write_all(fd, chunk) for chunk in chunks)

        return self._write(key, write)

    def copy_from(self, source: OpenedObject, key: str) -> int:
        """Write an object from an open one; within one machine the kernel moves the bytes."""
        if not isinstance(source, LocalObject):
            return self.put(key, source.chunks())
        size = self._write(key, lambda fd: _copy_range(source.fd, fd))
        source.check_unchanged()
        if size != source.size:
            raise Aborted(f"only {size} of {source.size} bytes could be read")
        return size

    def delete(self, key: str) -> None:
        """Remove an object, and the directories that are empty then. Deleting what is not there is no error."""
        path = self._path(key)
        try:
            os.unlink(path)
            while (path := os.path.dirname(path)) != self.root:
                os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise _write_error(error, key) from None

    def delete_prefix(self, prefix: str, start_after: str = "") -> int:
        """Remove every object below ``prefix`` whose key sorts after ``start_after``; how many there were."""
        count = 0
        for found in self.list(prefix, start_after):
            self.delete(found.key)
            count += 1
        return count

    def flush(self) -> None:
        """Return when everything written before is on disk: one sync of the file system, whatever the number."""
        try:
            fd = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _write_error(error, os.fsdecode(self.root)) from None
        try:
            _syncfs(fd)
        except OSError as error:
            raise Unavailable(f"the disk refused to keep what was written: {error.strerror}") from None
        finally:
            os.close(fd)

    def _path(self, key: str) -> bytes:
        try:
            name = os.fsencode(key)
        except UnicodeEncodeError:
            raise NotFound(f"{key!r}: cannot be a file name") from None
        for segment in name.split(b"/"):
            if segment in (b"", b".", b"..") or len(segment) > 255 or b"\0" in segment:
                raise NotFound(f"{key}: cannot be a file in a directory, so no such object exists")
        return self.root + b"/" + name

    def _write(self, key: str, fill: _Filler) -> int:
        try:
            path = self._path(key)
        except NotFound as error:
            raise InvalidArgument(error.message) from None
        head, _, tail = path.rpartition(b"/")
        target = path if self._write_once else head + b"/" + TEMPORARY + tail[:200] + self._suffix
        try:
            fd = _create(target)
            try:
                size = fill(fd)
            finally:
                os.close(fd)
            if target != path:
                os.rename(target, path)
            return size
        except StatusError:
            _discard(target)
            raise
        except OSError as error:
            _discard(target)
            raise _write_error(error, key) from None


def _create(path: bytes) -> int:
    try:
        return os.open(path, _CREATE, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, _CREATE, 0o644)


def _discard(path: bytes) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _copy_range(source: int, target: int) -> int:
    copied = 0
    try:
        while done := os.copy_file_range(source, target, _COPY_CHUNK, copied, copied):
            copied += done
    except (AttributeError, OSError) as error:
        # Not every pair of file systems can do it, nor every system: then the bytes go through us.
        if isinstance(error, OSError) and error.errno not in _NO_COPY:
            raise
        os.lseek(target, copied, os.SEEK_SET)
        while chunk := os.pread(source, _READ_CHUNK, copied):
            copied += _write_all(target, chunk)
    return copied


def _write_all(fd: int, chunk: bytes) -> int:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]
    return len(chunk)


def _load_syncfs() -> _Filler | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None

    def syncfs(fd: int) -> int:
        if function(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return 0

    return syncfs


_linux_syncfs = _load_syncfs()


def _syncfs(fd: int) -> None:
    if _linux_syncfs is None:
        os.sync()
    else:
        _linux_syncfs(fd)


def _read_error(error: OSError) -> StatusError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return NotFound("no such object")
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied("the server may not read this object; give its user read permission")
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return PermissionDenied("is a symbolic link; links inside a bucket are not followed")
    if error.errno in (errno.ENXIO, errno.EISDIR):
        return NotFound("is not a regular file")
    return Unavailable(f"cannot be read ({error.strerror})")


def _write_error(error: OSError, key: str) -> StatusError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(f"{key}: cannot be written, the disk is full ({error.strerror})")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP):
        return PermissionDenied(f"{key}: the server may not write here ({error.strerror})")
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
        return FailedPrecondition(f"{key}: another object stands in the way ({error.strerror})")
    return Unavailable(f"{key}: cannot be written ({error.strerror})")
