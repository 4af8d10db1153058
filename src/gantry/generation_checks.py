"""Whether an index and the blobs in its places belong together: what a start would find, for ``gantry check``.

Beside a running server the places are read before the index: the index is always ahead of what stands beside the blobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from gantry.errors import FailedPrecondition, StatusError
from gantry.findings import Finding, Kind
from gantry.index.checks import ReadOnlyIndex
from gantry.index.generations import Generation
from gantry.names import DicomStoreName
from gantry.seams import Blobs
from gantry.storage.generation_marks import INDEX, Mark, mark_path, read_mark
from gantry.storage.place_roots import Places

_NAMES = 500  # stores that are looked up at a time


def find_wrong_generations(index: ReadOnlyIndex, data: Path, name: str, places: Places) -> Iterator[Finding]:
    """``name`` is what messages call the index."""
    marks: list[tuple[str, str, Mark | None]] = []
    sources = [(place, *each) for place in places for each in places.mark_sources(place)]
    sources.append((INDEX, str(mark_path(str(data), INDEX)), partial(read_mark, str(data), INDEX)))
    for place, where, read in sources:
        try:
            marks.append((place, where, read()))
        except FailedPrecondition as error:
            yield Finding(Kind.MARK_WRONG, where, error.what)
    found = index.generations.get()
    if found.rebuilding:
        yield Finding(Kind.MARK_WRONG, name, "the index is not complete: a rebuild has not ended")
    for place, where, mark in marks:
        if why := _compare(found, place, mark, places):
            yield Finding(Kind.MARK_WRONG, where, why)


def _compare(found: Generation, place: str, mark: Mark | None, places: Places) -> str:
    """Why a mark does not fit the index; "" where it does."""
    if mark is None:
        return "the directory has no mark that it holds the blobs of this index" if place in found.places else ""
    if mark.mark != found.mark:
        is_wrong = found.places and place != INDEX and places.holds_blobs(place)
        return "the blobs beside it are those of another index" if is_wrong else ""
    if mark.commits > found.commits:
        return (
            f"the index is older than the blobs beside it: it has {found.commits:,} of {mark.commits:,} transactions, "
            "so what was stored since is not in it"
        )
    return ""


def find_missing_names(index: ReadOnlyIndex, places: Places, blobs: Blobs) -> Iterator[Finding]:
    """Stores with instances, and blobs in a place, whose names are not kept there: a store has its line before its
    first blob."""
    for place in places:
        numbers = _list_stores(blobs, place)
        for where, read in places.name_sources(place):
            yield from _find_missing(index, numbers, where, read)


def _find_missing(
    index: ReadOnlyIndex, numbers: Sequence[int], where: str, read: Callable[[], Mapping[int, DicomStoreName | None]]
) -> Iterator[Finding]:
    left = iter(numbers)
    while some := list(islice(left, _NAMES)):
        try:
            records = read()
        except FailedPrecondition as error:
            yield Finding(Kind.MARK_WRONG, where, error.what)
            return
        for number, name in index.segments.find_names(some).items():
            if records.get(number) != name and _has_instances(index, number):
                yield Finding(Kind.MARK_WRONG, where, f"store {number} is {name}, which a rebuild would not know")


def _has_instances(index: ReadOnlyIndex, store_id: int) -> bool:
    return next(iter(index.instances.walk_store(store_id)), None) is not None


def _list_stores(blobs: Blobs, place: str) -> list[int]:
    """The numbers of the stores that have blobs there; what cannot be listed is found by the check of files."""
    try:
        return sorted(blobs.list_numbers(place))
    except StatusError:
        return []
