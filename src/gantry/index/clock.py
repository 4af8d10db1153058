"""Times in the index: microseconds since 1970 UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def read_clock() -> int:
    """The present time of this machine."""
    return time.time_ns() // 1000


def from_micros(value: int) -> datetime:
    return datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)


def to_micros(value: datetime) -> int:
    return round(value.timestamp() * 1_000_000)
