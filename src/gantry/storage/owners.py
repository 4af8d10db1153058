"""Whose place it is, by what stands in its mark ``PLACE.gantry``: the same rule for directories and for buckets, for a
start, for a check and for a server that runs."""

from __future__ import annotations

from enum import Enum


class Owner(Enum):
    OWN = "own"
    NOBODY = "nobody"
    ANOTHER = "another"


def find_owner(found: bytes | str | None, mark: str) -> Owner:
    """``found`` stands there, None where there is no such file; ``mark`` is the server's own."""
    if found is None:
        return Owner.NOBODY
    data = found.encode() if isinstance(found, str) else found
    return Owner.OWN if data == mark.encode() else Owner.ANOTHER


def most_read(mark: str) -> int:
    """Bytes that tell whether it is this mark and nothing more."""
    return len(mark.encode()) + 1
