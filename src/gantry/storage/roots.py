"""The directory that a store lies in, and what tells it from another one that is mounted in its place."""

from __future__ import annotations

import os

Identity = tuple[int, int]
"""The device and inode of a directory: another directory may be mounted there later."""


def find_root(root: bytes) -> Identity | None:
    """None if it does not exist."""
    try:
        return identify(os.stat(root))
    except OSError:
        return None


def identify(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def identify_root(root: bytes) -> str:
    """Its inode, its device, and the file system's own number (statvfs(3)); "" if it does not exist. The number of the
    device may change with the system's start, that of a file system may be the device's. Raises OSError where that
    cannot be looked at."""
    try:
        status = os.stat(root)
        return f"{status.st_ino}:{status.st_dev}:{os.statvfs(root).f_fsid}"
    except FileNotFoundError:
        return ""


def stat_or_close(fd: int) -> os.stat_result:
    """What is said of an open file. Raises OSError, once it is closed."""
    try:
        return os.fstat(fd)
    except OSError:
        os.close(fd)
        raise


def is_same_root(before: str, now: str) -> bool:
    """Whether two results of ``identify_root`` are of one directory."""
    if not before or not now:
        return before == now
    (inode, *disks), (other, *others) = before.split(":"), now.split(":")
    return inode == other and any(one == two for one, two in zip(disks, others, strict=True))


def is_same_bucket(before: str, now: str) -> bool:
    """The same of a bucket, where the identity of the data directory may follow after a space. Of a data directory that
    was copied, or put back from a backup, the buckets are other ones, too: then nothing is known of them."""
    (bucket, _, data), (other, _, others) = before.partition(" "), now.partition(" ")
    return (bool(data) and not is_same_root(data, others)) or is_same_root(bucket, other)
