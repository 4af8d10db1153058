"""A bucket as a part of the server: what fails in it is trouble of the server, as with a disk of its own.

The bucket of an import belongs to the client, who is told what the provider says of it. Here the client can do nothing
about it: what cannot be written waits until it can, and no message has a key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from gantry.errors import (
    Cancelled,
    DiskAway,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    MustBeRestored,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Spoilt,
    StatusError,
    Unavailable,
    Unimplemented,
    Unreadable,
)
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.client import Client
from gantry.storage.remote.deleting import delete_keys
from gantry.storage.remote.errors import Archived
from gantry.storage.remote.names import is_nameable
from gantry.storage.remote.provider import Got

logger = logging.getLogger(__name__)

_AT_ONCE = 1000  # keys of one request that deletes many
_REFUSED = (FailedPrecondition, PermissionDenied, Unimplemented)
ADVICE = "the log has what the object storage said"


class BlobBucket:
    """The objects whose names begin with ``prefix``; ``name`` is what messages call it. Can be pickled."""

    def __init__(self, bucket: RemoteBucket, prefix: str, name: str) -> None:
        self.bucket, self.prefix, self.name = bucket, prefix, name

    @property
    def client(self) -> Client:
        return self.bucket.client

    def locate(self, key: str) -> str:
        """The object of a key. Raises NotFound for what can be no key of ours."""
        if not is_nameable(key):
            raise NotFound("no such object")
        return self.prefix + key

    def locate_new(self, key: str) -> str:
        """The same for writers. Raises InvalidArgument."""
        if not is_nameable(key):
            raise InvalidArgument(f"{key!r} can be no key of stored bytes")
        return self.prefix + key

    # Errors -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[None]:
        try:
            yield
        except StatusError as error:
            raise self.translate_read(error) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        try:
            yield
        except StatusError as error:
            raise self.translate_write(error) from None

    def translate_read(self, error: StatusError) -> StatusError:
        """Unreadable for bytes that come spoilt again and again; MustBeRestored, and Unavailable for an object
        that the server may not read; DiskAway where the bucket does not answer."""
        if isinstance(error, Archived):
            logger.warning("%s: %s", self.name, error.message)
            return MustBeRestored(
                "its bytes are archived at the object storage: they cannot be read before they are restored",
                advice="restore them there; the log has the name of the object",
            )
        if isinstance(error, Spoilt):
            return Unreadable(f"its bytes cannot be read: {error.what}")
        if isinstance(error, _REFUSED):
            logger.warning("%s: %s", self.name, error.message)
            return Unavailable("the server may not read its own object of this instance", advice=ADVICE)
        return self._find_away(error)

    def _find_away(self, error: StatusError) -> StatusError:
        if isinstance(error, DiskAway) or not isinstance(error, Unavailable):
            return error
        if not isinstance(error, Interrupted):
            try:
                self.client.require_answer()
                return error
            except Unavailable as silent:
                error = silent
        return DiskAway(f"{self.name} does not answer: {error.what}")

    def translate_write(self, error: StatusError) -> StatusError:
        """DiskAway for all that other objects would meet too: NotFound is the bucket, or a part of it."""
        if isinstance(error, (Cancelled, DiskAway, InvalidArgument, ResourceExhausted)):
            return error
        return DiskAway(f"{self.name} cannot be written: {error.what}", advice=error.advice)

    @contextmanager
    def deleting(self, key: str) -> Iterator[None]:
        try:
            yield
        except StatusError as error:
            raise self.translate_delete(error, key) from None

    def translate_delete(self, error: StatusError, key: str) -> StatusError:
        """Unavailable for what is refused for this object alone, such as one that must be kept: nothing waits for it,
        and it is said of what is deleted in vain."""
        if isinstance(error, _REFUSED):
            return Unavailable(f"{key}: cannot be deleted: {error.what}", advice=error.advice)
        return self._find_away(error)

    # Requests ---------------------------------------------------------------------------------------------------------

    def head(self, key: str) -> ObjectMeta:
        """Of the object, with its whole name."""
        with self.reading():
            return self.bucket.head(self.locate(key))

    def get(self, key: str, tag: str, offset: int, length: int) -> Got:
        """Raises Aborted for another version than ``tag``, and for a range behind the end."""
        with self.reading():
            return self.client.get_any(self.locate(key), tag, offset, length)

    def put(self, key: str, data: bytes) -> None:
        with self.writing():
            self.client.put(self.locate_new(key), data)

    def replace(self, key: str, data: bytes, tag: str) -> None:
        """Raises Aborted, NotFound where the version ``tag`` is not there any more."""
        with self.deleting(key):
            self.client.replace(self.locate(key), data, tag)

    def stream(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write an object from bytes of any length. What ``chunks`` raise goes on unchanged."""
        source = _Source(chunks)
        try:
            return self.bucket.put(self.locate_new(key), source)
        except StatusError as error:
            if error is source.error:
                raise
            raise self.translate_write(error) from None

    def copy(self, key: str, source: OpenedObject) -> bool:
        """A copy by the provider; False where it makes none. Raises Aborted, NotFound where the source has gone."""
        try:
            return self.bucket.copy_there(source, self.locate_new(key))
        except Unavailable:
            return False  # reading and writing tell whose trouble it is

    def delete(self, key: str) -> None:
        with self.deleting(key):
            if is_nameable(key):
                self.client.delete(self.prefix + key)

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        """The errors of those that could not be deleted."""
        failed: dict[str, StatusError] = {}
        names = {self.prefix + key: key for key in keys if is_nameable(key)}
        for at in range(0, len(names), _AT_ONCE):
            some = list(names)[at : at + _AT_ONCE]
            try:
                errors = delete_keys(self.client, some)
            except StatusError as error:
                errors = dict.fromkeys(some, error)
            failed |= {names[name]: self.translate_delete(error, names[name]) for name, error in errors.items()}
        return failed

    def require_mounted(self) -> None:
        """Raises DiskAway where the bucket does not answer. Called when an object has failed."""
        try:
            self.bucket.require_mounted()
        except Unavailable as error:
            raise self._find_away(error) from None

    def find_absence(self) -> str:
        """Why it cannot be used, to follow its name; "" where it can."""
        try:
            return "" if self.bucket.exists() else "does not exist"
        except StatusError as error:
            return f"cannot be reached: {error.what}"


class _Source:
    """Chunks that remember what they raise: that is no error of the bucket."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except BaseException as error:
            self.error = error
            raise
