"""The requests of one process to one bucket: tried again, and a bounded number of them in flight."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gantry.beats import beat_again
from gantry.calls_that_hang import find_check
from gantry.errors import BucketAway, Cancelled, FailedPrecondition, StatusError, Unavailable
from gantry.request_times import request_times
from gantry.resources import ObjectMeta
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.provider import Checksums, Got, Page, Provider
from gantry.storage.remote.retrying import ATTEMPTS, Pace, make_pause, retry, wait
from gantry.worker_calls import Check

PAGE_KEYS = 1000  # the most that Amazon gives ("ListObjectsV2", Amazon S3 API Reference)
LEAST_PROGRESS = 64 << 10
"""Bytes that must come before a connection is cut for the read to count as one that goes on."""
Out = TypeVar("Out")


class Client:
    """Opens its provider with the first request, so that it can be made before a process forks. Safe to use from many
    threads."""

    def __init__(self, place: RemotePlace) -> None:
        self.place, self.pace = place, Pace(place.concurrency)
        self._failed_at, self._looked_at = -1.0, 0.0
        self.lacks_bulk_delete = False  # as the server has answered
        self._lock = threading.Lock()
        self._provider: Provider | None = None

    @property
    def provider(self) -> Provider:
        with self._lock:
            if self._provider is None:
                self._provider = _open_provider(self.place)
            return self._provider

    def call(
        self, act: Callable[[], Out], check: Check | None = None, may_repeat: Callable[[], bool] = lambda: True
    ) -> Out:
        try:
            return retry(partial(request_times.measure, self.place.provider, act), self.pace, check, may_repeat)
        except Unavailable as error:
            self._failed_at = time.monotonic()
            if isinstance(error, BucketAway):
                self._forget_provider()
            raise

    def _forget_provider(self) -> None:
        """The next attempt reads the files of credentials anew: they may be renewed, but not where they are kept."""
        with self._lock:
            self._provider = None

    def require_answer(self) -> None:
        """Raises Unavailable where the bucket does not answer. It is asked only if a request has failed since it has
        answered last: an object that is missing says nothing of its bucket."""
        if self._failed_at < self._looked_at:
            return
        looked_at = time.monotonic()
        try:
            self.list_page("", "", "", False, 1)
        except (Cancelled, Unavailable):
            raise
        except StatusError:
            pass  # it answers
        self._looked_at = looked_at

    def list_page(
        self, prefix: str, start_after: str, token: str, folders: bool, limit: int = 0, check: Check | None = None
    ) -> Page:
        return self.call(
            partial(self.provider.list_page, prefix, start_after, token, folders, limit or PAGE_KEYS), check
        )

    def head(self, key: str) -> ObjectMeta:
        return self.call(partial(self.provider.head, key))

    def get(self, found: ObjectMeta, offset: int, length: int) -> tuple[bytes, str]:
        """``length`` bytes, and the object's Content-Encoding. After a cut it goes on from the byte that was reached,
        and the attempts are counted anew, unless next to nothing came."""
        got = self.get_any(found.key, found.tag, offset, length)
        return got.data, got.encoding

    def get_any(self, key: str, tag: str, offset: int, length: int) -> Got:
        """The same, of any version where ``tag`` is empty; the tag of the version that was read."""
        got = self._get_some(key, tag, offset, length)
        if len(got.data) == length:
            return got
        tag = tag or got.tag
        pieces, done, attempts = [got.data], len(got.data), 0
        while done < length:
            attempts = 0 if len(pieces[-1]) >= LEAST_PROGRESS else attempts + 1
            if attempts:
                self._wait_after_cut(attempts, done, length)
            pieces.append(self._get_some(key, tag, offset + done, length - done).data)
            done += len(pieces[-1])
            beat_again()
        return got._replace(data=b"".join(pieces))

    def _wait_after_cut(self, attempts: int, done: int, length: int) -> None:
        if attempts == ATTEMPTS:
            self._failed_at = time.monotonic()
            raise Unavailable(
                f"the connection was cut {attempts} times, each time after less than {LEAST_PROGRESS} bytes; {done} of "
                f"{length} bytes came",
                advice="try again",
            )
        wait(make_pause(attempts), find_check())

    def _get_some(self, key: str, tag: str, offset: int, length: int) -> Got:
        return self.call(partial(self.provider.get, key, tag, offset, length))

    def get_start(self, key: str, most: int) -> bytes:
        """The first bytes of any version, at most so many; of a short object all. Raises Aborted for an empty one."""
        return self._get_some(key, "", 0, most).data

    def get_checksums(self, found: ObjectMeta) -> Checksums:
        known = self.call(partial(self.provider.get_checksums, found.key, found.tag))
        if (parts := known.parts) is None:
            return known
        return known._replace(
            parts=parts._replace(find_size=lambda number: self.call(partial(parts.find_size, number)))
        )

    def put(self, key: str, data: bytes) -> None:
        self.call(partial(self.provider.put, key, data))

    def replace(self, key: str, data: bytes, tag: str) -> None:
        """Put an object in the place of the version ``tag``. Raises Aborted where that is not there any more; it may
        have been replaced by this call, if an answer was lost."""
        self.call(partial(self.provider.put, key, data, tag))

    def create(self, key: str, data: bytes) -> None:
        """Put an object where there is none. Raises Aborted where there is one; this call may have put it, if an answer
        was lost. Servers that do not know the condition put it in the place of any: those that say so are asked once,
        for a first try that is carried out last would bring back what has been freed since."""
        provider = self.provider
        self.call(partial(provider.create, key, data), may_repeat=lambda: provider.knows_create)

    def delete(self, key: str) -> None:
        self.call(partial(self.provider.delete, key))


def _open_provider(place: RemotePlace) -> Provider:
    if place.provider == "s3":
        from gantry.storage.remote.s3 import S3

        return S3(place)
    if place.provider == "azure":
        from gantry.storage.remote.azure import Azure

        return Azure(place)
    if place.provider == "gcs":
        from gantry.storage.remote.gcs import Gcs

        return Gcs(place)
    raise FailedPrecondition(f"{place.address}: there is no provider {place.provider!r}")


MOST_CLIENTS = 32
"""Buckets that a process keeps connections to: one entry of the settings may stand for any number of buckets."""
_clients: OrderedDict[tuple[int, RemotePlace], Client] = OrderedDict()
_lock = threading.Lock()


def find_client(place: RemotePlace) -> Client:
    """The client of this process for a bucket. Those that were asked for last are kept."""
    key = os.getpid(), place
    with _lock:
        found = _clients.pop(key, None) or Client(place)
        _clients[key] = found
        while len(_clients) > MOST_CLIENTS:
            _clients.popitem(last=False)
    return found
