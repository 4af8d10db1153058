"""Processes by way of /proc: no tool has to be installed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tests.support.prepared import NURSERY


def children(pid: int) -> list[int]:
    """Process ids of a process's children, without the one that makes workers for a prepared server; a thread that ends
    meanwhile has none."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (thread / "children").read_text().split()]
    return [child for child in found if not _is_nursery(child)]


def _is_nursery(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == NURSERY
    return False
