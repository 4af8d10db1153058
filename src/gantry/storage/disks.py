"""The disks that directories of objects lie on: what they are called in messages, and what their errors mean.

A bucket belongs to the client: that it cannot be written is an error of the request. The server's own disk does not:
that it cannot be written is trouble of the server, which passes (RFC 9110 §15.6), and no message has its keys.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from gantry.errors import (
    BucketAway,
    DiskAway,
    FailedPrecondition,
    NoRoom,
    NotFound,
    PermissionDenied,
    StatusError,
    Unavailable,
)
from gantry.reasons import Reason
from gantry.storage.durable import NotKept, most_file_bytes
from gantry.system_errors import describe_os_error

READABLE = "give its user read permission"
FULL = (errno.ENOSPC, errno.EDQUOT)
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""The server lacks something for a while: nothing is wrong with the object, nor with its disk."""

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP)
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)


@dataclass(frozen=True, slots=True)
class Disk:
    """``name`` is what messages call it: ``bucket gs://b``, ``the data directory's disk``."""

    name: str
    root: bytes
    is_bucket: bool = False

    def away(self, why: str) -> StatusError:
        """It is not there: ``why``, to follow its name."""
        if self.is_bucket:
            return BucketAway(f"{self.name} {why}", advice="mount it; if it is gone for good, cancel the operation")
        return DiskAway(f"{self.name} {why}", advice="mount it where it was; the log has the path")

    def unseen(self, error: OSError) -> StatusError:
        """Nobody can say now whether it is there, nor which one it is."""
        return (BucketAway if self.is_bucket else DiskAway)(
            f"{self.name} cannot be looked at: {describe_os_error(error)}"
        )

    def full(self, number: int) -> StatusError:
        """There is no room for an error of the system of this number."""
        what = f"{self.name} cannot be written"
        if number == errno.EDQUOT:
            return NoRoom(f"{what}, its disk quota is used up", advice="raise it, or delete what is not needed")
        free = _read_free(self.root)
        if free is None:
            return NoRoom(f"{what}, the disk is full", advice="make room on it")
        if not free[1]:
            return NoRoom(
                f"{what}, its disk has no free inodes ({free[0]:,} bytes are free)",
                advice="delete files that are not needed, or use a file system with more inodes",
            )
        inodes = "" if free[1] < 0 else f" and {free[1]:,} inodes"
        return NoRoom(f"{what}, the disk is full ({free[0]:,} bytes{inodes} are free)", advice="make room on it")

    def translate_write_error(self, error: OSError, key: str) -> StatusError:
        """``key`` is the object that could not be written."""
        if isinstance(error, NotKept):
            return self.translate_sync_error(error)
        if error.errno in FULL:
            return self.full(error.errno)
        if error.errno == errno.EFBIG and (most := most_file_bytes()):
            what = key if self.is_bucket else self.name
            return FailedPrecondition(
                f"{what}: cannot be written, the server's process may not write files of more than {most} bytes",
                advice="raise that limit (ulimit -f; LimitFSIZE in a unit of systemd) and start the server again",
            )
        words = describe_os_error(error)
        if error.errno == errno.EEXIST and not self.is_bucket:
            return FailedPrecondition(f"{self.name}: another file stands in the way ({words})")
        if error.errno in SHORT:
            return DiskAway(f"{self.name} cannot be written: {words}")
        if not self.is_bucket:
            return DiskAway(f"{self.name} cannot be written: {words}", advice="see that it is mounted and writable")
        if error.errno in _REFUSED:
            return PermissionDenied(f"{key}: the server may not write to {self.name} ({words})")
        if error.errno in _IN_THE_WAY:
            return FailedPrecondition(f"{key}: another object stands in the way ({words})")
        return Unavailable(f"{key}: cannot be written to {self.name} ({words})")

    def translate_sync_error(self, error: OSError) -> StatusError:
        """What was written before may not be on the disk."""
        if error.errno in FULL:
            return self.full(error.errno)
        why = f"refused to keep what was written: {describe_os_error(error)}"
        return BucketAway(f"{self.name} {why}") if self.is_bucket else DiskAway(f"{self.name} {why}")

    def translate_read_error(self, error: OSError) -> StatusError:
        if error.errno in SHORT:
            return DiskAway(f"{self.name} cannot be read: {describe_os_error(error)}")
        if not self.is_bucket and error.errno in _REFUSED:
            return DiskAway(f"{self.name} cannot be read: {describe_os_error(error)}")
        return translate_read_error(error)


def translate_read_error(error: OSError) -> StatusError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return NotFound("no such object", kind=Reason.OBJECT_GONE)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied("the server may not read this object", advice=READABLE, kind=Reason.NO_ACCESS)
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return PermissionDenied("is a symbolic link; links inside a bucket are not followed", kind=Reason.NO_ACCESS)
    if error.errno in (errno.ENXIO, errno.EISDIR):
        return NotFound("is not a regular file", kind=Reason.OBJECT_GONE)
    return Unavailable(f"cannot be read ({describe_os_error(error)})", kind=Reason.OBJECT_UNREADABLE)


def translate_delete_error(error: OSError, key: str) -> StatusError:
    """For the log: whoever deletes goes on with other objects and tries again."""
    words = describe_os_error(error)
    if error.errno in _REFUSED:
        return PermissionDenied(f"{key}: the server may not delete it ({words})")
    return Unavailable(f"{key}: cannot be deleted ({words})")


def _read_free(root: bytes) -> tuple[int, int] | None:
    """Free bytes and inodes, for a user without privileges; inodes are negative where the file system does not count
    them."""
    try:
        found = os.statvfs(root)
    except OSError:
        return None
    if not found.f_blocks:
        return None
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else -1
