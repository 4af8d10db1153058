"""Each object of the storage has a row, or is to be removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from gantry.checking.directory import Checked
from gantry.errors import NotFound, StatusError
from gantry.findings import Finding, Kind
from gantry.resources import ObjectMeta

UNNAMED = 20_000
"""Objects looked up at once: each look-up of objects that hold one instance reads all rows."""


def check_files(checked: Checked) -> Iterator[Finding]:
    """Of all objects, whoever names them. Raises Unavailable, DiskAway."""
    for place in checked.places:
        listed = checked.blobs.list(f"{place}/")
        while some := list(islice(listed, UNNAMED)):
            yield from (
                Finding(Kind.NOT_CHECKED, each.key, each.problem) for each in some if is_unreadable_directory(each)
            )
            yield from check_unnamed(checked, [each.key for each in some if not is_unreadable_directory(each)])


def is_unreadable_directory(found: ObjectMeta) -> bool:
    """Whether an entry of a listing says that a part could not be listed."""
    return bool(found.problem) and found.key.endswith("/")


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
