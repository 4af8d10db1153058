"""Whether an index and the blobs in its places belong together: looked at by every start, before anything is written.

Index and places have the same mark. The places also know how many transactions that index had written: an index that
has fewer was put back from a backup, beside blobs that it does not know. They stay: see ``Generations.follow``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gantry.errors import FailedPrecondition
from gantry.index.database import Witness
from gantry.index.generations import Generation, Generations
from gantry.operations.blob_keys import format_sortable
from gantry.seams import MAIN
from gantry.storage.generation_marks import INDEX, Mark, MarkWriter, read_mark, write_mark
from gantry.storage.place_roots import Places
from gantry.storage.remote.generation_copies import GenerationCopies

logger = logging.getLogger(__name__)

UNREPORTED = 1000
"""More transactions in which an attempt begins than a mark can miss: it is on the disk some seconds after them."""

Others = Callable[[], Sequence[str]]
"""The names of other servers that use the same index now."""

REBUILD = "`gantry storage rebuild` makes a new one from the stored instances"


class FoundIndex(NamedTuple):
    """An index as a start finds it: what messages call it, whether it is there, and what it says of itself."""

    name: str
    is_there: bool
    generation: Generation | None


def require_index(index: FoundIndex, places: Places) -> None:
    """Refuse a start in which rows and blobs do not fit.

    Changes nothing. Raises FailedPrecondition.
    """
    path, found = index.name, index.generation
    if found is None or not (found.places or found.has_stores):
        _require_empty(index, places)
        return
    if found.rebuilding:
        raise FailedPrecondition(
            f"{path} is not complete: a rebuild has not ended", advice="run `gantry storage rebuild` again"
        )
    require_same_mark(index, places)
    for place in places:
        if place in found.places and places.read_mark(place) is None:
            raise FailedPrecondition(
                f"{path} and {places.locate(place)} do not belong together: the directory has no mark, so it is not "
                "the one that holds the blobs of this index; is it mounted?",
                advice="mount it, or put it back from a backup with its file "
                f"{place}.generation, which stands beside it",
            )
        if place in found.places and not places.is_marked_there(place) and places.holds_blobs(place):
            raise FailedPrecondition(
                f"{places.locate(place)} has no {place}.generation beside it, so nobody can tell whether {path} is an "
                "older index than the one of the blobs there",
                advice="put that object back, or, where DATA is known to be the newest, the file of this name in "
                "DATA/blobs",
            )


def require_same_mark(index: FoundIndex, places: Places) -> None:
    """Raises FailedPrecondition where a place has blobs of another index."""
    path, found = index.name, index.generation
    for place in places:
        mark = places.read_mark(place)
        # An index that has no place yet was made, or brought up to date, just now: ``join`` was interrupted.
        if found is None or not found.places or mark is None or mark.mark == found.mark:
            continue
        if places.holds_blobs(place):
            raise FailedPrecondition(
                f"{path} and {places.locate(place)} do not belong together: the blobs there are those of another index",
                advice=f"put back the index or the blobs that belong to the other, or move one of them away; {REBUILD}",
            )


def _require_empty(index: FoundIndex, places: Places) -> None:
    for place in places:
        if places.holds_blobs(place):
            state, where = "is empty" if index.is_there else "is missing", places.locate(place)
            raise FailedPrecondition(
                f"{index.name} {state}, but {where} holds stored instances",
                advice=f"put the index back from a backup; or {REBUILD}; or, to begin anew, move {where} away",
            )


def find_mark(places: Places, own: str) -> str:
    """The mark that all places have; empty where none has one. ``own`` is that of the index: where one place has it
    already, ``join`` was interrupted. Raises FailedPrecondition where they have several."""
    marks = {mark.mark: places.locate(place) for place in places if (mark := places.read_mark(place))}
    if own in marks:
        return own
    if len(marks) > 1:
        raise FailedPrecondition(
            f"{' and '.join(sorted(marks.values()))} do not belong together: they are the blobs of different indexes",
            advice="name directories that were used together",
        )
    return next(iter(marks), "")


def join(generations: Generations, places: Places, data: str, list_others: Others = list) -> Witness:
    """Give the mark of the index to places that have none, and go on with an older index. ``data`` is the directory of
    the index. Returns what tells the places of transactions. Raises FailedPrecondition."""
    marked = {**places, INDEX: data}
    marks = {place: read_mark(root, place) for place, root in marked.items()}
    found = generations.get()  # after the marks: what other servers write meanwhile makes no index look older
    reached = _find_commits(found, marks, places)
    commits = max(found.commits, reached)
    is_older = commits > found.commits
    _require_alone(found, places, is_older, list_others)
    if is_older:
        logger.warning(
            "the index is older than the blobs beside it: it has %d of %d transactions. Instances that were stored "
            "since are not in it; their bytes stay, and `gantry storage rebuild` can take them up",
            *(found.commits, commits),
        )
        commits += UNREPORTED
    # All marks come first: an index that names a place before another has its mark would not be let in again.
    for place, mark in marks.items():
        if mark is None or mark.mark != found.mark:
            write_mark(marked[place], place, Mark(found.mark, commits))
        elif is_older:
            _raise_mark(marked[place], place, Mark(found.mark, commits))
    for place in places.remote:
        places.publish_mark(place, Mark(found.mark, commits))
    if is_older:
        generations.follow(commits, _prefix_of, reached)
    generations.add_places(places.keys() - found.places)
    for place in found.places - places.keys():  # ``keep_places`` has seen that it is empty
        generations.remove_place(place)
    writer = MarkWriter(places, data)
    if not places.remote:
        return writer
    return _Witnesses(writer, GenerationCopies(places.remote, found.mark, lambda: generations.get().commits))


def _require_alone(found: Generation, places: Places, is_older: bool, list_others: Others) -> None:
    """Raises FailedPrecondition where other servers would be hurt by what this start must do."""
    is_changed = bool(found.places) and found.places != places.keys()
    if not (is_older or is_changed) or not (others := list_others()):
        return
    running = f"while other servers use it ({', '.join(others)})"
    if is_older:
        raise FailedPrecondition(
            f"the index is older than the blobs beside it, and cannot go on {running}",
            advice="stop all servers, put back the newest database, and start one of them before the others",
        )
    raise FailedPrecondition(
        f"storage_tiers: the index has the places {', '.join(sorted(found.places))}, not {', '.join(sorted(places))}, "
        f"and that cannot be changed {running}",
        advice="give all servers the same storage_tiers; to change them, stop all servers first",
    )


class _Witnesses:
    """Tells several of each transaction."""

    def __init__(self, *witnesses: Witness) -> None:
        self._witnesses = witnesses

    @property
    def trouble(self) -> str:
        return next((each.trouble for each in self._witnesses if each.trouble), "")

    def note(self, commits: int) -> None:
        for each in self._witnesses:
            each.note(commits)

    def close(self) -> None:
        for each in self._witnesses:
            each.close()


def _raise_mark(root: str, place: str, mark: Mark) -> None:
    """The same copy of an index, put back again, must begin behind this one: so the number is on the disk before it
    goes on. The disk of a storage class may be read-only: that of the data directory counts then."""
    try:
        write_mark(root, place, mark)
    except FailedPrecondition as error:
        if place in (MAIN, INDEX):
            raise
        logger.warning("%s", error.message)


def _find_commits(found: Generation, marks: Mapping[str, Mark | None], places: Places) -> int:
    """How many transactions the index of these blobs had written, as far as the marks say."""
    # Blobs that have a mark already, and an index of an older version: that was put back from a backup as well.
    of_blobs = {mark.mark for place in places if (mark := marks[place]) and places.holds_blobs(place)}
    known = {found.mark} | of_blobs
    return max((mark.commits for mark in marks.values() if mark and mark.mark in known), default=0)


def _prefix_of(store_id: int, operation: int, attempt: int) -> str:
    return f"{store_id}/{operation}/{format_sortable(attempt)}-"
