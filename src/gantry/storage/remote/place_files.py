"""The files about places, as objects beside the blobs: marks and names of stores, in the bucket that holds the blobs.

``PREFIX/PLACE.gantry``, ``PREFIX/PLACE.generation`` and ``PREFIX/PLACE.stores`` say what the files of these names in
``DATA/blobs`` say. So a bucket belongs to one server, an index older than the blobs is noticed, and a data directory
that is lost can be made again from the bucket alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from gantry.errors import Aborted, DiskAway, FailedPrecondition, NotFound, StatusError, Unimplemented
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace

NAME = "the bucket of stored instances"
"""What messages to callers call it."""

_MOST_BYTES = 1 << 30
"""Of a file of names: a hundred bytes for each store."""
_TRIES = 20
"""Of a read or a write that another server comes between: each of them writes a file every ten seconds at most."""
Out = TypeVar("Out")
Change = Callable[[str | None], str | None]
"""From what stands in a file, None where there is none, to what shall stand there; None to leave it as it is."""


class PlaceFiles:
    """``address`` is what the settings call the place of the blobs, ``prefix`` what its keys begin with: empty, or
    ending in ``/``. ``mark`` as for ``BlobBucket``: nothing is written where it is another one."""

    def __init__(self, place: RemotePlace, prefix: str, address: str, mark: tuple[str, str] | None = None) -> None:
        self.bucket, self.prefix, self.address = RemoteBucket(place), prefix, address
        self._blobs = BlobBucket(self.bucket, prefix, NAME, mark)

    def with_mark(self, name: str, text: str) -> PlaceFiles:
        return PlaceFiles(self.bucket.place, self.prefix, self.address, (name, text))

    def require_bucket(self) -> None:
        """Raises FailedPrecondition where it does not exist or does not answer: a start is refused then."""
        if not self.ask(self.bucket.exists):
            raise FailedPrecondition(f"blobs: there is no bucket for {self.address}", advice="make it at the provider")

    def read(self, name: str) -> str | None:
        """None where there is no such file. Raises FailedPrecondition."""
        return self.ask(partial(self._read, name))

    def _read(self, name: str) -> str | None:
        found = self._find(name)
        return None if found is None else found[0]

    def _find(self, name: str) -> tuple[str, str] | None:
        """The text, and the tag of the version that it is of."""
        for _ in range(_TRIES - 1):
            with suppress(Aborted):  # another server has written it just now
                return self._find_version(name)
        return self._find_version(name)

    def _find_version(self, name: str) -> tuple[str, str] | None:
        try:
            found = self.bucket.head(self.prefix + name)
        except NotFound:
            return None
        if found.size > _MOST_BYTES:
            raise FailedPrecondition(f"{name} has {found.size} bytes, which no file of this server has")
        with self.bucket.open_found(found) as opened:
            return b"".join(opened.chunks()).decode("utf-8", "replace"), found.tag

    def update(self, name: str, change: Change) -> None:
        """Write what ``change`` makes of a file in the place of the version that it was given, and of no other: where
        another server is sooner it is asked again. Durable on return. Raises DiskAway: the bucket is a part of this
        server, as a disk of its own is; and what ``change`` raises. A server that does not know the condition puts it
        in the place of any."""
        for _ in range(_TRIES):
            with self._blobs.marked():
                with self._blobs.writing():
                    found = self._find(name)
                text = change(None if found is None else found[0])
                if text is None:
                    return None
                with self._blobs.writing(), suppress(Aborted):
                    return self._replace(self.prefix + name, text.encode(), None if found is None else found[1])
        raise DiskAway(f"{NAME} cannot be written: others write {name} all the time", advice="try again")

    def _replace(self, key: str, data: bytes, tag: str | None) -> None:
        """Raises Aborted where another version is there than that of ``tag``, or any where that is None; this may have
        written it, where an answer was lost."""
        client = self.bucket.client
        if tag is None:
            return client.create(key, data)
        try:
            return client.replace(key, data, tag)
        except NotFound as gone:
            raise Aborted(gone.what) from None
        except (FailedPrecondition, Unimplemented):  # of a server that refuses the condition
            return client.put(key, data)

    def create(self, name: str, text: str) -> None:
        """Write a file that is not there. Whoever comes second changes nothing, but on a server that does not know the
        condition: what it says then is to be read. Raises FailedPrecondition."""
        self.ask(partial(self._create, self.prefix + name, text.encode()))

    def _create(self, key: str, data: bytes) -> None:
        with suppress(Aborted):  # somebody was sooner; or this was, and the answer was lost
            self.bucket.client.create(key, data)

    def remove(self, name: str) -> None:
        self.bucket.delete(self.prefix + name)

    def holds_blobs(self, place: str) -> bool:
        """Whether there is any object of a place. Raises FailedPrecondition."""
        return self.ask(lambda: next(iter(self.bucket.list(f"{self.prefix}{place}/")), None) is not None)

    def locate(self, place: str) -> str:
        """Where the blobs of a place lie, for a message."""
        return f"{self.address}/{place}"

    def ask(self, act: Callable[[], Out]) -> Out:
        """At a start, and for a check. Raises FailedPrecondition for whatever the bucket raises."""
        try:
            return act()
        except StatusError as error:
            raise FailedPrecondition(f"blobs: {self.address}: {error.what}", advice=error.advice) from None
