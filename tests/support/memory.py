"""Memory of a process and all that it has started, by way of /proc."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.processes import children

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_RESET_PEAK = "5"  # proc(5), clear_refs


def tree(pid: int) -> list[int]:
    """The process and its descendants that still run."""
    found, pending = [], [pid]
    while pending:
        try:
            pending += children(pending[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
        found.append(pending.pop(0))
    return found


def reset_peaks(pid: int) -> None:
    """From now on ``peaks`` says what was the most since now."""
    for each in tree(pid):
        Path(f"/proc/{each}/clear_refs").write_text(_RESET_PEAK)


def peaks(pid: int) -> int:
    """The most resident memory of each process of the tree, together, in bytes."""
    total = 0
    for each in tree(pid):
        try:
            found = _PEAK.search(Path(f"/proc/{each}/status").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(found[1]) * 1024 if found else 0
    return total
