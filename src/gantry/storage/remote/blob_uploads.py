"""Uploads in parts to the bucket of stored instances that nobody continues: their parts take room that nobody sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from gantry.errors import FailedPrecondition, NotFound, PermissionDenied, Unimplemented
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.notes import UploadNotes

Upload = tuple[str, str]
"""A key, and the name of the upload."""


def find_left_uploads(bucket: BlobBucket, notes: Path) -> set[Upload]:
    """Those below the prefix of the bucket that no note names in the directories in ``notes``, which has those of all
    writers. Nothing where the provider cannot list them, or the server may not. Raises Unavailable, DiskAway."""
    with bucket.reading():
        begun = set(_list_begun(bucket, bucket.prefix))
    if not begun:  # most buckets have none
        return set()
    named = {note for each in _list_directories(notes) for note in UploadNotes(each).list(mends=False)}
    left = {(key, upload) for key, upload in begun if (key, upload) not in named and (key, "") not in named}
    return {(key[len(bucket.prefix) :], upload) for key, upload in left}


def end_upload(bucket: BlobBucket, key: str, upload: str) -> None:
    """Remove the parts of one, if it has not ended meanwhile. Raises Unavailable, DiskAway."""
    with bucket.deleting(key), suppress(NotFound):
        bucket.client.call(partial(bucket.client.provider.drop_parts, bucket.prefix + key, upload))


def end_uploads(bucket: BlobBucket, prefix: str) -> None:
    """Remove the parts of all below a prefix, where nobody writes any more. Raises Unavailable, DiskAway."""
    with bucket.reading():
        begun = list(_list_begun(bucket, bucket.prefix + prefix))
    for key, upload in begun:
        end_upload(bucket, key[len(bucket.prefix) :], upload)


def _list_begun(bucket: BlobBucket, prefix: str) -> Iterator[Upload]:
    token: Upload | None = None
    try:
        while True:
            page = bucket.client.call(partial(bucket.client.provider.list_begun, prefix, token))
            yield from page.found
            if (token := page.token) is None:
                return
    except (FailedPrecondition, PermissionDenied, Unimplemented):
        return  # the right is no other's that a server needs


def _list_directories(notes: Path) -> list[Path]:
    return [each for each in notes.iterdir() if each.is_dir()] if notes.is_dir() else []
