"""Each file in the directories of blobs has a row, or is to be removed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gantry.checking.directory import Checked
from gantry.errors import NotFound
from gantry.findings import Finding, Kind
from gantry.resources import ObjectMeta

_CHUNK = 20_000
"""Files looked up at once: each look-up of files that hold one instance reads all rows."""


def check_files(checked: Checked) -> Iterator[Finding]:
    seen = 0
    for place in checked.places:
        listed = checked.blobs.list(f"{place}/")
        while chunk := list(islice(listed, _CHUNK)):
            seen += len(chunk)
            checked.tell("files", seen)
            yield from _check_chunk(checked, chunk)


def _check_chunk(checked: Checked, chunk: list[ObjectMeta]) -> Iterator[Finding]:
    for entry in chunk:
        if entry.problem and entry.key.endswith("/"):
            yield Finding(Kind.NOT_CHECKED, entry.key, entry.problem)
    keys = [entry.key for entry in chunk if not entry.key.endswith("/")]
    unclaimed = checked.index.checks.find_unclaimed(keys)
    if unclaimed and checked.is_used:
        checked.wait()
        unclaimed = {key for key in checked.index.checks.find_unclaimed(sorted(unclaimed)) if _is_there(checked, key)}
    for key in sorted(unclaimed):
        yield Finding(Kind.BYTES_UNKNOWN, key, "no row names this file, and nothing is going to remove it")


def _is_there(checked: Checked, key: str) -> bool:
    try:
        checked.blobs.head(key)
    except NotFound:
        return False
    return True
