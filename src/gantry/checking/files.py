"""Each object of the storage has a row, or is to be removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gantry.checking.directory import Checked
from gantry.errors import NotFound, StatusError
from gantry.findings import Finding, Kind


def check_unnamed(checked: Checked, keys: Sequence[str]) -> Iterator[Finding]:
    """Of objects that no instance was in when the rows were read: those that nothing is going to remove either."""
    unclaimed = checked.index.checks.find_unclaimed(keys)
    if unclaimed and checked.is_used:
        checked.wait()
        unclaimed = {key for key in checked.index.checks.find_unclaimed(sorted(unclaimed)) if _is_there(checked, key)}
    for key in sorted(unclaimed):
        yield Finding(Kind.BYTES_UNKNOWN, key, "no row names this file, and nothing is going to remove it")


def _is_there(checked: Checked, key: str) -> bool:
    if checked.is_away(key):
        return False
    try:
        checked.blobs.head(key)
    except NotFound:
        return False
    except StatusError as error:
        return error.waits_for is None
    return True
