"""How often something took how long."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """``bounds`` are the upper ends of its classes in seconds, rising. Whoever observes and reads takes turns."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)  # the last one is of what took longer than all bounds
        self._seconds = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def add(self, other: Histogram) -> None:
        """What another one with the same bounds has counted."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self._seconds += other._seconds

    def read(self) -> tuple[list[tuple[str, int]], float]:
        """(upper end, how many took no longer) of each class, and the seconds of all. The last end is ``+Inf``."""
        ends = [*map(str, self._bounds), "+Inf"]
        return list(zip(ends, accumulate(self._counts), strict=True)), self._seconds
