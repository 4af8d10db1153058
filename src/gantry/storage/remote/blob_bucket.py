"""A bucket as a part of the server: what fails in it is trouble of the server, as with a disk of its own.

The bucket of an import belongs to the client, who is told what the provider says of it. Here the client can do nothing
about it: what cannot be written waits until it can, and no message has a key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from gantry.errors import (
    Aborted,
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
from gantry.storage.owners import Owner, find_owner, most_read
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.client import Client
from gantry.storage.remote.deleting import MOST_KEYS, delete_keys
from gantry.storage.remote.errors import Archived
from gantry.storage.remote.names import is_nameable
from gantry.storage.remote.provider import Got

logger = logging.getLogger(__name__)

_REFUSED = (FailedPrecondition, PermissionDenied, Unimplemented)
ADVICE = "the log has what the object storage said"
_WRONG = {
    Owner.OWN: None,
    Owner.NOBODY: "it has no mark of this server",
    Owner.ANOTHER: "its mark is that of another server",
}


class BlobBucket:
    """The objects whose names begin with ``prefix``; ``name`` is what messages call it. Can be pickled.

    ``mark`` is the key of an object and what stands in it: it says that the bucket is the server's own. Another bucket
    in its place, an empty one above all, says of everything that it is not there. So the mark is looked at before
    NotFound is raised by any of these, and after an object was written, before anybody hears that it is durable.
    """

    def __init__(self, bucket: RemoteBucket, prefix: str, name: str, mark: tuple[str, str] | None = None) -> None:
        self.bucket, self.prefix, self.name, self.mark = bucket, prefix, name, mark

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

    # The mark ---------------------------------------------------------------------------------------------------------

    def require_mark(self) -> None:
        """One request. Raises DiskAway where the bucket is another one, or cannot say whose it is."""
        if self.mark is None:
            return
        key, text = self.mark
        try:
            found = self._read_mark(self.prefix + key, most_read(text))
        except Cancelled:
            raise
        except StatusError as error:
            raise self._find_unknown(error) from None
        if (why := _WRONG[find_owner(found, text)]) is not None:
            raise DiskAway(f"{self.name} is not the one that was opened: {why}")

    def _read_mark(self, name: str, most: int) -> bytes | None:
        try:
            return self.client.get_start(name, most)
        except NotFound:
            return None
        except Aborted:
            return b""  # it is empty

    def _find_unknown(self, error: StatusError) -> StatusError:
        found = self._translate_read(error)
        if isinstance(found, DiskAway):
            return found
        return DiskAway(f"{self.name} does not say whose it is: its mark cannot be read", advice=ADVICE)

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Around what is written or deleted: neither touches another bucket, and what another one has done or lacks is
        not taken for ours. Raises DiskAway."""
        self.require_mark()
        yield
        self.require_mark()

    def judge_absence(self, error: StatusError) -> StatusError:
        """What an error is that says of an object that it is not there: DiskAway in another bucket."""
        try:
            self.require_mark()
        except StatusError as away:
            return away
        return error

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
        that the server may not read; DiskAway where the bucket does not answer, or is another one."""
        return self.judge_absence(error) if isinstance(error, NotFound) else self._translate_read(error)

    def _translate_read(self, error: StatusError) -> StatusError:
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
        return self.judge_absence(error) if isinstance(error, NotFound) else self._find_away(error)

    # Requests ---------------------------------------------------------------------------------------------------------

    def head(self, key: str) -> ObjectMeta:
        """Of the object, with its whole name."""
        with self.reading():
            return self.bucket.head(self.locate(key))

    def get(self, key: str, tag: str, offset: int, length: int) -> Got:
        """Raises Aborted for another version than ``tag``, and for a range behind the end."""
        with self.reading():
            return self.client.get_any(self.locate(key), tag, offset, length)

    def put_new(self, key: str, data: bytes) -> None:
        """Write an object whose name no other one has had. A first try that is carried out later than its repetition
        takes the place of nothing, so it does not bring back what was freed meanwhile. Raises DiskAway also where it
        went into another bucket, as all that write new objects do."""
        name = self.locate_new(key)
        with self.writing():
            try:
                self.client.create(name, data)
            except Aborted:  # a try whose answer was lost has put it
                if not self._holds(name, data):
                    self.client.put(name, data)
        self.require_mark()

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            return self.client.get_start(name, len(data) + 1) == data
        except (Aborted, NotFound):  # it is empty, or gone
            return False

    def replace(self, key: str, data: bytes, tag: str) -> None:
        """Raises Aborted, NotFound where the version ``tag`` is not there any more."""
        with self.deleting(key):
            self.client.replace(self.locate(key), data, tag)

    def stream(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write an object from bytes of any length. What ``chunks`` raise goes on unchanged."""
        source = _Source(chunks)
        try:
            size = self.bucket.put(self.locate_new(key), source)
        except StatusError as error:
            if error is source.error:
                raise
            raise self.translate_write(error) from None
        self.require_mark()
        return size

    def copy(self, key: str, source: OpenedObject) -> bool:
        """A copy by the provider; False where it makes none. Raises Aborted, NotFound where the source has gone."""
        try:
            is_copied = self.bucket.copy_there(source, self.locate_new(key))
        except Unavailable:
            return False  # reading and writing tell whose trouble it is
        except NotFound as error:  # the source may be a blob of ours, in this bucket
            raise self.judge_absence(error) from None
        if is_copied:
            self.require_mark()
        return is_copied

    def delete(self, key: str) -> None:
        with self.deleting(key):
            if is_nameable(key):
                self.client.delete(self.prefix + key)

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        """The errors of those that could not be deleted."""
        failed: dict[str, StatusError] = {}
        names = {self.prefix + key: key for key in keys if is_nameable(key)}
        for at in range(0, len(names), MOST_KEYS):
            some = list(names)[at : at + MOST_KEYS]
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
