"""A bucket of a provider of object storage, as a source and as a destination."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

from gantry.calls_that_hang import call_hearing
from gantry.errors import (
    Aborted,
    BucketAway,
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    StatusError,
    Unavailable,
    Unimplemented,
)
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.remote.client import Client, find_client
from gantry.storage.remote.deleting import MOST_KEYS, delete_keys
from gantry.storage.remote.listing import list_all, list_folders, list_level
from gantry.storage.remote.names import is_listable
from gantry.storage.remote.notes import Notes
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.reading import RemoteObject
from gantry.storage.remote.unsorted import sort_all
from gantry.storage.remote.writing import copy_object, drop_unnamed, write_object
from gantry.storage.removal import stop_before
from gantry.storage.uris import MAX_KEY_BYTES, is_text, measure_key
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)


class RemoteBucket:
    """Can be pickled and sent to a worker, which opens connections of its own. ``notes`` are those of its writer."""

    def __init__(self, place: RemotePlace, notes: Notes | None = None) -> None:
        self.place, self.notes, self.concurrency = place, notes, place.concurrency

    @property
    def client(self) -> Client:
        return find_client(self.place)

    @property
    def identity(self) -> str:
        return f"{self.place.provider}:{self.place.endpoint}/{self.place.bucket}"

    def is_same(self, identity: str) -> bool:
        return identity == self.identity

    def exists(self) -> bool:
        """Raises PermissionDenied, BucketAway."""
        try:
            return self.client.call(lambda: self.client.provider.exists())
        except Unavailable as error:
            raise self._make_away(error) from None

    def require_mounted(self) -> None:
        """Raises BucketAway where the bucket does not answer. Called when an object has failed."""
        try:
            self.client.require_answer()
        except Unavailable as error:
            raise self._make_away(error) from None

    def _make_away(self, error: Unavailable) -> BucketAway:
        if isinstance(error, BucketAway):
            return error
        return BucketAway(f"bucket {self.place.address} does not answer: {error.what}")

    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]:
        """Raises BucketAway where a page cannot be read, and FailedPrecondition where keys are not in order."""
        check = check or _go_on
        if not is_text(prefix) or not is_listable(start_after):
            return
        try:
            yield from self._list(prefix, start_after, depth, check)
        except Unavailable as error:
            raise self._make_away(error) from None

    def _list(self, prefix: str, start_after: str, depth: int | None, check: Check) -> Iterator[ObjectMeta]:
        if not self.place.is_sorted:
            found = sort_all(self.client, prefix, start_after, check)
            return (each for each in found if depth is None or each.key.count("/") <= depth)
        if depth is None:
            return list_all(self.client, prefix, start_after, check)
        return list_level(self.client, prefix, start_after, depth, check)

    def list_folders(self, prefix: str = "", limit: int = 1000) -> Sequence[str]:
        return list_folders(self.client, prefix, limit, _go_on)

    def head(self, key: str) -> ObjectMeta:
        """Raises BucketAway where it is not the object but the bucket that does not answer."""
        if not self._is_key(key):
            raise NotFound("there is no object of this name: no name is so")
        try:
            return self.client.head(key)
        except Unavailable:
            self.require_mounted()
            raise

    def open(self, key: str) -> OpenedObject:
        return RemoteObject(self.client, self.head(key))

    def open_found(self, found: ObjectMeta) -> OpenedObject:
        return RemoteObject(self.client, found)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        self._require_key(key)
        return write_object(self.client, key, chunks, self.notes)

    def keeps_first(self, key: str, data: bytes) -> bool:
        """Whether a write on the condition that there is no object of this name leaves the one that is there."""
        try:
            self.client.create(key, data)
        except Aborted:
            return True
        return False

    def copy_from(self, source: OpenedObject, key: str) -> int:
        """By the provider itself, where both objects are in its buckets, and their bytes are the same."""
        self._require_key(key)
        if self.copy_there(source, key):
            return source.size
        return write_object(self.client, key, source.chunks(), self.notes)

    def copy_there(self, source: OpenedObject, key: str) -> bool:
        """A copy by the provider itself; False where it makes none. Raises Aborted, NotFound where the source is not
        there any more, Unavailable."""
        if not isinstance(source, RemoteObject) or source.is_unpacked:
            return False
        provider = self.client.provider
        if not provider.can_copy_from(source.client.place):
            return False
        try:
            copy_object(self.client, source.client.place, source.found, key, self.notes)
        except (FailedPrecondition, PermissionDenied, Unimplemented) as error:
            logger.warning("%s makes no copy, so the bytes are read and written: %s", self.place.address, error.message)
            return False
        source.is_copied_there = True
        return True

    def delete(self, key: str) -> None:
        if self._is_key(key):
            self.client.delete(key)

    def delete_prefix(self, prefix: str, start_after: str = "", check: Check | None = None, before: str = "") -> int:
        """Raises the error of an object that could not be deleted, after all others are."""
        found = stop_before(self.list(prefix, start_after, check=check), before)
        count, failed, first = 0, 0, ""
        while some := list(islice(found, MOST_KEYS)):
            errors: dict[str, StatusError] = {
                each.key: FailedPrecondition(each.problem) for each in some if each.problem
            }
            errors |= delete_keys(self.client, [each.key for each in some if not each.problem])
            first = first or next((f"{_show(key)}: {error.what}" for key, error in errors.items()), "")
            failed += len(errors)
            count += len(some) - len(errors)
        if failed:
            raise Unavailable(f"{failed} objects could not be deleted; the first is {first}")
        return count

    def delete_unfinished(self, prefix: str, depth: int, check: Check | None = None) -> None:
        """Those that are written down: others write to the same places of a bucket. Nothing is tried again, and a
        bucket that does not answer is asked once: an operation may be cancelled because its bucket hangs."""
        if self.notes is None:
            return
        failed: StatusError | None = None
        for key, upload in self.notes.list():
            (check or _go_on)()
            if key.startswith(prefix) and key.count("/") <= depth:
                try:
                    self._drop_parts(key, upload, check)
                    self.notes.remove(key, upload)
                except Cancelled:
                    raise
                except Unavailable as error:
                    raise self._make_away(error) from None
                except StatusError as error:
                    failed = failed or error
        if failed is not None:
            raise failed
        self.notes.clear()

    def _drop_parts(self, key: str, upload: str, check: Check | None) -> None:
        """Without a name of the upload all that were begun for the key."""
        if not upload:
            drop_unnamed(self.client, key, check)
            return
        with suppress(NotFound):  # it has ended meanwhile
            call_hearing(partial(self.client.provider.drop_parts, key, upload), check)

    def flush(self) -> None:
        """Nothing is left to do: an object that was written is durable."""

    @property
    def _counts_characters(self) -> bool:
        return self.place.provider == "azure"

    def _is_key(self, key: str) -> bool:
        """Whether an object can be written under this name."""
        return is_text(key) and 0 < measure_key(key, self._counts_characters) <= MAX_KEY_BYTES

    def _require_key(self, key: str) -> None:
        if not self._is_key(key):
            unit = "characters" if self._counts_characters else "bytes in UTF-8"
            raise InvalidArgument(f"an object needs a name of 1 to {MAX_KEY_BYTES} {unit}")


def _show(key: str) -> str:
    """A key for a message."""
    return key.encode("utf-8", "replace").decode()


def _go_on() -> None:
    """The check of those who wait to the end."""
