"""A deadline for all that a request of httpx does on the network: its own timeouts begin anew with each byte."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

_until = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread does with a client that is ``bounded`` ends after so many seconds: httpx.TimeoutException."""
    _until.moment = time.monotonic() + seconds
    try:
        yield
    finally:
        del _until.moment


def bound(client: Any) -> None:
    """Have an ``httpx.Client`` keep the deadlines of ``within``, by whatever proxy. httpx has no other place for it
    than the connections of its pools."""
    transports: list[Any] = [client._transport, *client._mounts.values()]
    for each in transports:
        if each is not None:
            each._pool._network_backend = _Backend(each._pool._network_backend)


def _shorten(timeout: float | None, error: type[Exception]) -> float | None:
    """What is left for one step. Raises ``error`` where that is nothing."""
    moment = getattr(_until, "moment", None)
    if moment is None:
        return timeout
    left = float(moment - time.monotonic())
    if left <= 0:
        raise error("the deadline of the request has passed")
    return left if timeout is None else min(timeout, left)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = _shorten(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _shorten(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _shorten(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = _shorten(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
