"""An open file as an object, and its bytes on their way into another file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from gantry.beats import beat_again
from gantry.errors import Aborted, StatusError
from gantry.reasons import Reason
from gantry.seams import OpenedObject
from gantry.storage.disks import FULL, translate_read_error
from gantry.storage.roots import stat_or_close

_COPY_CHUNK = 64 << 20  # copied by the kernel in one call: small enough for a worker to be stopped soon
_READ_CHUNK = 1 << 20
Filler = Callable[[int], int]
"""Writes to a descriptor; the number of bytes."""


class LocalObject(OpenedObject):
    """An open file: what is read and what is copied are the same bytes, whatever happens to the name meanwhile.

    The object begins at the byte ``base`` of the file that ``fd`` is open for."""

    base = 0

    def __init__(self, fd: int, key: str) -> None:
        self.fd, self.key = fd, key
        self._stat = stat_or_close(fd)
        self.size = self._stat.st_size

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self.fd, length, self.base + offset)
            while len(data) < min(length, self.size - offset):  # a system may return less than there is
                more = os.pread(self.fd, length - len(data), self.base + offset + len(data))
                if not more:
                    break
                data += more
            return data
        except OSError as error:
            raise self.translate(error) from None

    def translate(self, error: OSError) -> StatusError:
        """What an error of reading means for this object."""
        return translate_read_error(error)

    def chunks(self) -> Iterator[bytes]:
        offset = 0
        while offset < self.size and (chunk := self.read_at(offset, min(_READ_CHUNK, self.size - offset))):
            if offset:
                beat_again()  # whoever reads a small object has said how long that takes
            offset += len(chunk)
            yield chunk
        self.check_whole(offset)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self._stat.st_mode)

    def close(self) -> None:
        """Safe to call twice: the number may belong to another file by then."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def check_whole(self, read: int) -> None:
        """Raises Aborted where fewer than ``size`` bytes were ``read``, or the file was written to since."""
        try:
            now, then = os.fstat(self.fd), self._stat
        except OSError as error:
            raise self.translate(error) from None
        # The time of a change of the file's data cannot be set back. One that lost its name, or got another, has a new
        # one too, and the same bytes.
        is_touched = now.st_ctime_ns != then.st_ctime_ns and now.st_nlink == then.st_nlink
        if is_touched or (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
            raise Aborted("was changed by another program while it was read", kind=Reason.OBJECT_CHANGED)
        if read != self.size:
            raise Aborted(f"only {read} of {self.size} bytes could be read", kind=Reason.OBJECT_CHANGED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def copy_range(source: LocalObject, target: int) -> int:
    """Copy what the source had when it was opened, not what is written to it since; the number of bytes.

    Not all systems and file systems let the kernel copy, and its errors do not say which side they are of: then the
    bytes are copied through this process.
    """
    copied = _copy_in_kernel(source, target)
    if copied == source.size:
        return copied
    os.lseek(target, copied, os.SEEK_SET)
    while chunk := source.read_at(copied, min(_READ_CHUNK, source.size - copied)):
        beat_again()
        copied += write_all(target, chunk)
    return copied


def _copy_in_kernel(source: LocalObject, target: int) -> int:
    """How many bytes the kernel has copied. Raises OSError where there is no room for more."""
    copied = 0
    try:
        while left := min(_COPY_CHUNK, source.size - copied):
            beat_again()
            done = os.copy_file_range(source.fd, target, left, source.base + copied, copied)
            if not done:
                break
            copied += done
    except AttributeError:
        pass  # not on this system
    except OSError as error:
        if error.errno in (*FULL, errno.EFBIG):
            raise
    return copied


def fill_from(source: OpenedObject) -> Filler:
    """Writes the bytes of an open object to a descriptor; within one machine the kernel moves them."""

    def fill(fd: int) -> int:
        if isinstance(source, LocalObject):
            source.check_whole(copy_range(source, fd))
        elif (written := write_chunks(fd, source.chunks())) != source.size:
            raise Aborted(f"{written} bytes came where there should be {source.size}")
        return source.size

    return fill


def write_chunks(fd: int, chunks: Iterable[bytes]) -> int:
    return sum(write_all(fd, chunk) for chunk in chunks)


def write_all(fd: int, chunk: bytes) -> int:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]
    return len(chunk)
