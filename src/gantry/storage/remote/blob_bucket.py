"""The requests to the bucket of stored instances: what fails in them is trouble of the server, as with a disk of its
own (``blob_errors``), and none of them takes another bucket for it (``blob_marks``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gantry.errors import Aborted, InvalidArgument, NotFound, StatusError, Unavailable
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.remote.blob_marks import MarkedBucket
from gantry.storage.remote.deleting import MOST_KEYS, delete_keys
from gantry.storage.remote.names import is_nameable
from gantry.storage.remote.provider import Got


class BlobBucket(MarkedBucket):
    """The objects whose names begin with ``prefix``; ``name`` is what messages call it. Can be pickled.

    NotFound is raised by none of these before the mark was looked at, and what they write is durable in this bucket.
    """

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
                found = self.bucket.head(name)
                if not self._holds(found, data):
                    self.client.replace(name, data, found.tag)
        self.require_mark()

    def _holds(self, found: ObjectMeta, data: bytes) -> bool:
        return found.size == len(data) and self.client.get_any(found.key, found.tag, 0, found.size).data == data

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
            raise self.find_away(error) from None

    def find_absence(self) -> str:
        """Why it cannot be used, to follow its name; "" where it can."""
        try:
            return "" if self.bucket.exists() else "does not exist"
        except StatusError as error:
            return f"cannot be reached: {self.explain('cannot be reached', error)}"


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
