"""The requests of one process to one bucket: tried again, and a bounded number of them in flight."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gantry.errors import FailedPrecondition
from gantry.resources import ObjectMeta
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.provider import Checksums, Page, Provider
from gantry.storage.remote.retrying import Pace, retry

Out = TypeVar("Out")


class Client:
    """Opens its provider with the first request, so that it can be made before a process forks. Safe to use from many
    threads."""

    def __init__(self, place: RemotePlace) -> None:
        self.place, self.pace = place, Pace(place.concurrency)
        self.lacks_bulk_delete = False  # as the server has answered
        self._lock = threading.Lock()
        self._provider: Provider | None = None

    @property
    def provider(self) -> Provider:
        with self._lock:
            if self._provider is None:
                self._provider = _open_provider(self.place)
            return self._provider

    def call(self, act: Callable[[], Out]) -> Out:
        return retry(act, self.pace)

    def list_page(self, prefix: str, start_after: str, token: str, folders: bool, limit: int = 1000) -> Page:
        return self.call(partial(self.provider.list_page, prefix, start_after, token, folders, limit))

    def head(self, key: str) -> ObjectMeta:
        return self.call(partial(self.provider.head, key))

    def get(self, found: ObjectMeta, offset: int, length: int) -> tuple[bytes, str]:
        return self.call(partial(self.provider.get, found.key, found.tag, offset, length))

    def get_checksums(self, found: ObjectMeta) -> Checksums:
        return self.call(partial(self.provider.get_checksums, found.key, found.tag))

    def put(self, key: str, data: bytes) -> None:
        self.call(partial(self.provider.put, key, data))

    def delete(self, key: str) -> None:
        self.call(partial(self.provider.delete, key))


def _open_provider(place: RemotePlace) -> Provider:
    if place.provider == "s3":
        from gantry.storage.remote.s3 import S3

        return S3(place)
    raise FailedPrecondition(f"{place.address}: there is no provider {place.provider!r}")


_clients: dict[tuple[int, RemotePlace], Client] = {}
_lock = threading.Lock()


def find_client(place: RemotePlace) -> Client:
    """The client of this process for a bucket."""
    with _lock:
        return _clients.setdefault((os.getpid(), place), Client(place))
