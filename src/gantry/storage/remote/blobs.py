"""The bytes of stored instances in a bucket: objects of their own, and ranges of segments.

A segment is one object, written by one request. docs/decisions/0021-blobs-in-buckets.md says why it is so.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from pathlib import Path

from gantry.errors import Aborted, StatusError
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.contents import count_unlisted, find_crc32cs
from gantry.storage.extents import SUFFIX, Entry, Extent, parse_extent, parse_inside
from gantry.storage.freed import find_freed
from gantry.storage.listed import count_freed, list_entries
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.blob_freeing import delete_segment, free_all, free_rest
from gantry.storage.remote.blob_looking import find_lost
from gantry.storage.remote.blob_reading import HeldObject, StoredExtent, open_object, read_whole
from gantry.storage.remote.blob_segments import find_pending
from gantry.storage.remote.blob_tables import Tail
from gantry.storage.remote.blob_uploads import end_upload, end_uploads, find_left_uploads
from gantry.storage.remote.blob_writer import RemoteWriter
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.names import is_nameable
from gantry.storage.remote.notes import UploadNotes
from gantry.storage.remote.place import RemotePlace
from gantry.storage.store_numbers import PLACES, read_numbers
from gantry.worker_calls import Check


class RemoteBlobs:
    """Can be pickled and sent to a worker.

    ``prefix`` is empty or ends in ``/``: the object of a key is called so, and then as the key. ``name`` is what
    messages call it. ``tier`` is the storage class, or access tier, of new objects, "" for that of the bucket.
    ``notes`` is a directory for those of uploads in parts: a crash leaves them for ``delete_unfinished``. ``mark`` is
    the key of an object and what stands in it: it says that the bucket is the server's own.
    """

    def __init__(
        self,
        bucket: RemotePlace,
        prefix: str,
        name: str,
        tier: str = "",
        notes: str = "",
        mark: tuple[str, str] | None = None,
    ) -> None:
        place = replace(bucket, storage_class=tier or bucket.storage_class)
        self._remote = RemoteBucket(place, UploadNotes(Path(notes)) if notes else None)
        self._bucket = BlobBucket(self._remote, prefix, name, mark)
        self._held: HeldObject | None = None

    def exists(self) -> bool:
        with self._bucket.reading():
            return self._remote.exists()

    def require_mounted(self) -> None:
        self._bucket.require_mounted()
        self._bucket.require_mark()

    def find_absence(self, place: str = "") -> str:
        if why := self._bucket.find_absence():
            return why
        try:
            self._bucket.require_mark()
        except StatusError:
            return "has no mark of this server now; another bucket may be in its place"
        return ""

    def find_shortage(self, place: str) -> str:
        """A bucket is never full."""
        return ""

    # Listing ----------------------------------------------------------------------------------------------------------

    def list_store_ids(self) -> list[int]:
        return sorted({number for place in PLACES for number in self.list_numbers(place)})

    def list_numbers(self, prefix: str) -> list[int]:
        with self._bucket.reading():
            found = self._remote.list_folders(f"{self._bucket.prefix}{prefix.rstrip('/')}/", sys.maxsize)
        self._bucket.require_mark()
        return read_numbers(found)

    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]:
        """Raises DiskAway at the end where the bucket is another one: then nobody knows what is missing."""
        above = self._bucket.prefix
        deep = None if depth is None else depth + above.count("/")
        behind = above + start_after if start_after else ""
        with self._bucket.reading():
            for found in self._remote.list(above + prefix, behind, deep, check):
                yield found._replace(key=found.key[len(above) :])
        self._bucket.require_mark()

    def head(self, key: str) -> ObjectMeta:
        return self._bucket.head(key)._replace(key=key)

    def find_left_uploads(self, notes: Path) -> set[tuple[str, str]]:
        """Keys and names of uploads in parts that nobody continues. ``notes`` has the directories of all notes of the
        server. Raises Unavailable, DiskAway."""
        return find_left_uploads(self._bucket, notes)

    def end_upload(self, key: str, upload: str) -> None:
        """Remove the parts of one. Raises Unavailable, DiskAway."""
        with self._bucket.marked():
            end_upload(self._bucket, key, upload)

    def end_uploads(self, prefix: str) -> None:
        with self._bucket.marked():
            end_uploads(self._bucket, prefix)

    # Reading ----------------------------------------------------------------------------------------------------------

    def open(self, key: str) -> OpenedObject:
        extent = parse_extent(key)
        if extent is None:
            return open_object(self._bucket, key)
        if self._held is not None and self._held.key == extent.segment:
            return self._open_held(self._held, extent)
        pending = find_pending(extent.segment)
        if pending is not None and (data := pending.read(extent)) is not None:
            return HeldObject(key, data)
        return StoredExtent(self._bucket, extent)

    def find_lost(
        self, held: Sequence[tuple[ObjectMeta, Collection[str]]], whole: bool = False
    ) -> Sequence[dict[str, StatusError]]:
        return find_lost(self._bucket, held, whole)

    def entries(self, segment: str) -> Iterator[Entry]:
        yield from list_entries(self._open_whole(segment))

    def count_freed(self, segment: str) -> int:
        return count_freed(self._open_whole(segment))

    def count_unlisted(self, segment: str, named: Collection[str]) -> int:
        return count_unlisted(self._open_whole(segment), [parse_inside(segment, key) for key in named])

    def hold(self, segment: str) -> RemoteBlobs:
        holding = copy(self)
        holding._held = self._open_whole(segment)
        return holding

    def _open_held(self, segment: HeldObject, extent: Extent) -> HeldObject:
        for error in find_freed(segment, [str(extent)]).values():
            raise error
        return HeldObject(str(extent), segment.read_at(extent.offset, extent.length))

    def _open_whole(self, segment: str) -> HeldObject:
        if self._held is not None and self._held.key == segment:
            return self._held
        return HeldObject(segment, read_whole(self._bucket, segment).data)

    def read_crc32cs(self, keys: Collection[str]) -> dict[str, int | None]:
        """The table is looked for at the end first: there every writer of objects puts it."""
        extents = [extent for key in keys if (extent := parse_extent(key))]
        if not extents:
            return dict.fromkeys(keys)
        segment = extents[0].segment
        if (pending := find_pending(segment)) is not None and (found := pending.read_crc32cs(extents)):
            return found
        with suppress(Aborted):  # something in it was freed meanwhile
            found = find_crc32cs(Tail(self._bucket, self.head(segment)), extents)
            if None not in found.values():
                return found
        return find_crc32cs(self._open_whole(segment), extents)

    # Writing ----------------------------------------------------------------------------------------------------------

    def writer(self, prefix: str) -> RemoteWriter:
        self.require_mounted()
        return RemoteWriter(self._bucket, prefix)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        return self._bucket.stream(key, chunks)

    def copy_from(self, source: OpenedObject, key: str) -> int:
        return source.size if self._bucket.copy(key, source) else self._bucket.stream(key, source.chunks())

    def flush(self) -> None:
        """Nothing is left to do: an object that was written is durable."""

    # Deleting ---------------------------------------------------------------------------------------------------------

    def delete(self, key: str) -> None:
        for error in self.delete_all([key]).values():
            raise error

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        """In another bucket nothing is deleted, and what is not there is not gone."""
        try:
            with self._bucket.marked():
                return self._delete_all(keys)
        except StatusError as error:
            return dict.fromkeys(keys, error)

    def _delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        extents = [key for key in keys if parse_extent(key) and is_nameable(key)]
        failed = free_all(self._bucket, extents)
        for key in keys:
            if key.endswith(SUFFIX):
                with _noting(failed, key):
                    delete_segment(self._bucket, key)
        objects = [key for key in keys if not parse_extent(key) and not key.endswith(SUFFIX)]
        return failed | self._bucket.delete_all(objects)

    def delete_prefix(self, prefix: str, start_after: str = "", check: Check | None = None, before: str = "") -> int:
        above = self._bucket.prefix
        with self._bucket.marked(), self._bucket.deleting(prefix):
            first, last = (above + each if each else "" for each in (start_after, before))
            return self._remote.delete_prefix(above + prefix, first, check, last)

    def sync_removed(self, directories: set[str]) -> None:
        """Nothing is left to do: an object that was deleted does not come back."""

    def free_rest(self, segment: str, live: Collection[str]) -> None:
        if segment in live:
            return None
        if not live:
            return self.delete(segment)
        with self._bucket.marked():
            return free_rest(self._bucket, segment, [parse_inside(segment, key) for key in live])

    def delete_unfinished(self, check: Check | None = None) -> None:
        """Remove the parts of objects that writers have left which were killed. For the start of a server: nobody may
        write meanwhile. Raises DiskAway."""
        self._bucket.require_mark()
        with self._bucket.deleting("the parts of objects"):
            self._remote.delete_unfinished(self._bucket.prefix, sys.maxsize, check)


@contextmanager
def _noting(failed: dict[str, StatusError], key: str) -> Iterator[None]:
    try:
        yield
    except StatusError as error:
        failed[key] = error
