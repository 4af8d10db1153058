"""Times in the index: microseconds since 1970 UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime

LAST = ((1 << 63) - 1) // 1000
"""In the year 2262: Python counts nanoseconds in 64 bits."""


def read_clock() -> int:
    """The present time of this machine; that of the first or last moment known here where the clock is beyond it."""
    try:
        return min(max(time.time_ns() // 1000, 0), LAST)
    except OverflowError:  # behind the year 2262, on some versions of Python
        return LAST


def from_micros(value: int) -> datetime:
    return datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)


def to_micros(value: datetime) -> int:
    return round(value.timestamp() * 1_000_000)
