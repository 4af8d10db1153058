"""How long the database took, for ``/metrics``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gantry.histogram import Histogram

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a statement in memory to the longest wait for a turn (``database.WAIT``)."""


class Times:
    """``turns``: the waits of those that write for their turn in this server. ``transactions``: what came then, to the
    end of COMMIT, whether it was written or undone. ``connections``: the waits of those that read for a connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._histograms = {kind: Histogram(BOUNDS) for kind in ("turns", "transactions", "connections")}

    @contextmanager
    def measure(self, kind: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.add(kind, time.monotonic() - begun)

    def add(self, kind: str, seconds: float) -> None:
        with self._lock:
            self._histograms[kind].observe(seconds)

    def read(self) -> dict[str, tuple[list[tuple[str, int]], float]]:
        """As ``Histogram.read``, by kind."""
        with self._lock:
            return {kind: each.read() for kind, each in self._histograms.items()}
