"""How long requests to buckets of providers took, for ``/metrics``. Each process counts its own; a worker tells them
with the outcome of a call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from gantry.errors import Unavailable
from gantry.histogram import Histogram

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a server in the same room to the time limit of a request (``REQUEST_SECONDS`` of the providers)."""

Told = Mapping[tuple[str, str], Histogram]
"""By provider (``s3``, ``gcs``, ``azure``) and outcome: ``answered``, also with a refusal, or ``failed``."""
Out = TypeVar("Out")


class RequestTimes:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Histogram] = {}

    def measure(self, provider: str, act: Callable[[], Out]) -> Out:
        """The outcome of one attempt of a request."""
        begun, outcome = time.monotonic(), "answered"
        try:
            return act()
        except Unavailable:
            outcome = "failed"
            raise
        finally:
            self._add(provider, outcome, time.monotonic() - begun)

    def _add(self, provider: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._find(provider, outcome).observe(seconds)

    def _find(self, provider: str, outcome: str) -> Histogram:
        return self._found.setdefault((provider, outcome), Histogram(BOUNDS))

    def take(self) -> Told:
        """What was counted since it was taken last."""
        with self._lock:
            taken, self._found = self._found, {}
            return taken

    def add(self, told: Told) -> None:
        """What another process has counted."""
        with self._lock:
            for (provider, outcome), histogram in told.items():
                self._find(provider, outcome).add(histogram)

    def read(self) -> Iterable[tuple[tuple[str, str], tuple[list[tuple[str, int]], float]]]:
        """As ``Histogram.read``, by provider and outcome."""
        with self._lock:
            return [(each, histogram.read()) for each, histogram in sorted(self._found.items())]


request_times = RequestTimes()
"""Those of this process."""
