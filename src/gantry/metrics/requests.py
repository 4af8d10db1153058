"""Requests as a server answers them: how many, how long, how many bytes, by kinds that no client can add to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gantry.histogram import Histogram
from gantry.names import API_VERSIONS

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
"""From a page of the console to the upload of a large file."""
_PAGES = {
    **dict.fromkeys(("console", "sign-in", "sign-out", "static", "viewer", ""), "console"),
    **dict.fromkeys(("healthz", "readyz", "metrics"), "health"),
    **dict.fromkeys(("bigquery", "logs", "token"), "other"),
}


class Requests:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[tuple[str, str], Histogram] = {}
        self._received: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._running = 0

    def begin(self) -> None:
        with self._lock:
            self._running += 1

    def end(self, kind: str, status: int, seconds: float, received: int, sent: int) -> None:
        """``status``: 0 where nothing was answered, because the client had left."""
        with self._lock:
            self._running -= 1
            self._times.setdefault((kind, f"{status // 100}xx" if status else "none"), Histogram(BOUNDS)).observe(
                seconds
            )
            self._received[kind] += received
            self._sent[kind] += sent

    def collect(self) -> Iterator[Metric]:
        times = HistogramMetricFamily(
            "gantry_request_seconds", "Requests, by the seconds to the end of their answer.", labels=["kind", "status"]
        )
        received = CounterMetricFamily("gantry_received_bytes", "Bytes of bodies of requests.", labels=["kind"])
        sent = CounterMetricFamily("gantry_sent_bytes", "Bytes of bodies of answers.", labels=["kind"])
        with self._lock:
            for labels, each in self._times.items():
                classes, seconds = each.read()
                times.add_metric(labels, classes, seconds)
            for family, counts in ((received, self._received), (sent, self._sent)):
                for kind, count in counts.items():
                    family.add_metric([kind], count)
            running = self._running
        yield from (times, received, sent)
        yield GaugeMetricFamily("gantry_requests_running", "Requests whose answer has not ended.", value=running)


class CountedRequests:
    """An application whose requests are counted."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status, received, sent = time.monotonic(), 0, 0, 0

        async def take() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def give(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        self._requests.begin()
        try:
            await self._app(scope, take, give)
        finally:
            self._requests.end(kind_of(scope["path"]), status, time.monotonic() - begun, received, sent)


def kind_of(path: str) -> str:
    """``api``, ``dicomweb``, ``console``, ``health`` or ``other``."""
    first = path.lstrip("/").partition("/")[0]
    if first in API_VERSIONS:
        return "dicomweb" if "/dicomWeb/" in path else "api"
    return _PAGES.get(first, "other")
