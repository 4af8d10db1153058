"""What errors of a disk mean: trouble of the server that passes, or of the request that names a bucket."""

from __future__ import annotations

import errno
import os

import pytest

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
from gantry.storage import disks
from gantry.storage.disks import Disk, translate_delete_error, translate_read_error
from gantry.storage.durable import NotKept

OWN, BUCKET = Disk("the disk", b"/"), Disk("bucket gs://b", b"/", is_bucket=True)


def made(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("disk", "number", "kind", "words"),
    [
        (OWN, errno.ENOSPC, NoRoom, "the disk cannot be written"),
        (BUCKET, errno.EDQUOT, NoRoom, "bucket gs://b cannot be written, its disk quota is used up"),
        (OWN, errno.EFBIG, FailedPrecondition, "the disk: cannot be written, the server's process may not write"),
        (BUCKET, errno.EFBIG, FailedPrecondition, "key: cannot be written, the server's process may not write"),
        (OWN, errno.EEXIST, FailedPrecondition, "the disk: another file stands in the way"),
        (BUCKET, errno.EEXIST, FailedPrecondition, "key: another object stands in the way"),
        (BUCKET, errno.EISDIR, FailedPrecondition, "key: another object stands in the way"),
        (OWN, errno.EISDIR, DiskAway, "the disk cannot be written"),
        (OWN, errno.EMFILE, DiskAway, "the disk cannot be written"),
        (BUCKET, errno.EMFILE, DiskAway, "bucket gs://b cannot be written"),
        (OWN, errno.EROFS, DiskAway, "the disk cannot be written"),
        (BUCKET, errno.EROFS, PermissionDenied, "key: the server may not write to bucket gs://b"),
        (BUCKET, errno.EIO, Unavailable, "key: cannot be written to bucket gs://b"),
    ],
)
def test_what_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, disk: Disk, number: int, kind: type[StatusError], words: str
) -> None:
    """Keys of the server's own objects are in no message."""
    monkeypatch.setattr(disks, "most_file_bytes", lambda: 4096)
    found = disk.translate_write_error(made(number), "key")
    assert type(found) is kind and found.message.startswith(words), found.message
    assert ("4096 bytes" in found.message) == (number == errno.EFBIG)
    assert disk.is_bucket or "key" not in found.message


@pytest.mark.parametrize(("disk", "kind"), [(OWN, DiskAway), (BUCKET, BucketAway)])
def test_what_is_not_kept_or_not_there(disk: Disk, kind: type[StatusError]) -> None:
    kept = NotKept(errno.EIO, os.strerror(errno.EIO))
    for found in (disk.translate_write_error(kept, "key"), disk.translate_sync_error(made(errno.EIO))):
        assert type(found) is kind and f"{disk.name} refused to keep what was written" in found.message
    assert type(disk.translate_sync_error(made(errno.ENOSPC))) is NoRoom
    assert type(disk.away("is away")) is type(disk.unseen(made(errno.EIO))) is kind


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOENT, NotFound, "no such object"),
        (errno.ENOTDIR, NotFound, "no such object"),
        (errno.ENAMETOOLONG, NotFound, "no such object"),
        (errno.EACCES, PermissionDenied, "the server may not read this object"),
        (errno.EPERM, PermissionDenied, "the server may not read this object"),
        (errno.ELOOP, PermissionDenied, "is a symbolic link"),
        (errno.EMLINK, PermissionDenied, "is a symbolic link"),
        (errno.ENXIO, NotFound, "is not a regular file"),
        (errno.EISDIR, NotFound, "is not a regular file"),
        (errno.EIO, Unavailable, "cannot be read"),
    ],
)
def test_what_cannot_be_read(number: int, kind: type[StatusError], words: str) -> None:
    for found in (translate_read_error(made(number)), BUCKET.translate_read_error(made(number))):
        assert type(found) is kind and found.message.startswith(words)
    own = OWN.translate_read_error(made(number))
    is_refused = number in (errno.EACCES, errno.EPERM, errno.ELOOP)
    assert type(own) is (DiskAway if is_refused else kind) and own.message.startswith(
        "the disk" if is_refused else words
    )


def test_what_the_server_lacks_for_a_while_is_waited_for() -> None:
    for number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        for disk in (OWN, BUCKET):
            found = disk.translate_read_error(made(number))
            assert type(found) is DiskAway and found.message.startswith(f"{disk.name} cannot be read")


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, PermissionDenied), (errno.EIO, Unavailable)])
def test_what_cannot_be_deleted(number: int, kind: type[StatusError]) -> None:
    found = translate_delete_error(made(number), "key")
    assert type(found) is kind and found.message.startswith("key: ")
