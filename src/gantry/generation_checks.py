"""Whether an index and the blobs in its places belong together: what a start would find, for ``gantry check``.

Beside a running server the places are read before the index: the index is always ahead of what stands beside the blobs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

from gantry.errors import FailedPrecondition
from gantry.findings import Finding, Kind
from gantry.index.checks import ReadOnlyIndex
from gantry.index.generations import Generation
from gantry.storage.generation_marks import INDEX, Mark, holds_blobs, mark_path, read_mark
from gantry.storage.store_records import read_records, records_path

_NAMES = 500  # stores that are looked up at a time


def find_wrong_generations(index: ReadOnlyIndex, path: Path, places: Mapping[str, str]) -> Iterator[Finding]:
    """``places``: place → the directory that holds its directory."""
    marks: dict[str, Mark | None] = {}
    places = {**places, INDEX: str(path.parent)}
    for place, root in places.items():
        try:
            marks[place] = read_mark(root, place)
        except FailedPrecondition as error:
            yield Finding(Kind.MARK_WRONG, str(mark_path(root, place)), error.what)
    found = index.generations.get()
    if found.rebuilding:
        yield Finding(Kind.MARK_WRONG, str(path), "the index is not complete: a rebuild has not ended")
    for place, mark in marks.items():
        if why := _compare(found, place, mark, places[place]):
            yield Finding(Kind.MARK_WRONG, str(mark_path(places[place], place)), why)


def _compare(found: Generation, place: str, mark: Mark | None, root: str) -> str:
    """Why a mark does not fit the index; "" where it does."""
    if mark is None:
        return "the directory has no mark that it holds the blobs of this index" if place in found.places else ""
    if mark.mark != found.mark:
        return "the blobs beside it are those of another index" if found.places and holds_blobs(root, place) else ""
    if mark.commits > found.commits:
        return (
            f"the index is older than the blobs beside it: it has {found.commits:,} of {mark.commits:,} transactions, "
            "so what was stored since is not in it"
        )
    return ""


def find_missing_names(index: ReadOnlyIndex, places: Mapping[str, str]) -> Iterator[Finding]:
    """Stores with instances, and blobs in a place, whose names are not kept there: a store has its line before its
    first blob."""
    for place, root in places.items():
        numbers = iter(_list_stores(os.path.join(root, place)))
        while some := list(islice(numbers, _NAMES)):
            try:
                records = read_records(root, place)
            except FailedPrecondition as error:
                yield Finding(Kind.MARK_WRONG, str(records_path(root, place)), error.what)
                break
            for number, name in index.segments.find_names(some).items():
                if records.get(number) != name and _has_instances(index, number):
                    why = f"store {number} is {name}, which a rebuild would not know"
                    yield Finding(Kind.MARK_WRONG, str(records_path(root, place)), why)


def _has_instances(index: ReadOnlyIndex, store_id: int) -> bool:
    return next(iter(index.instances.walk_store(store_id)), None) is not None


def _list_stores(directory: str) -> list[int]:
    """The numbers of the stores that have a directory; what cannot be listed is found by the check of files."""
    with suppress(OSError):
        return sorted(int(name) for name in os.listdir(directory) if name.isascii() and name.isdigit())
    return []
