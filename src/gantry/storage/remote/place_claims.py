"""Whether a bucket for blobs belongs to this server, and marking it: what ``place_marks`` does with directories."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from gantry.errors import FailedPrecondition
from gantry.resources import BlobStorageClass
from gantry.seams import MAIN
from gantry.storage.generation_marks import mark_path, parse_mark
from gantry.storage.owners import Owner, find_owner
from gantry.storage.remote.place_files import PlaceFiles

_PLACES = (MAIN, *(each.value for each in BlobStorageClass))
_ANOTHER = "choose another bucket, or another prefix"
REBUILD = "`gantry storage rebuild` makes the data directory again from what lies in the bucket"


class SharedIndex(NamedTuple):
    """The index that several servers use, each with a data directory of its own: its mark, and the places that have
    blobs as far as it knows."""

    mark: str
    places: Collection[str] = ()


def mark_name(place: str) -> str:
    return f"{place}.gantry"


def has_claims(files: PlaceFiles) -> bool:
    """Whether any server has marked the bucket. Raises FailedPrecondition."""
    return any(files.read(mark_name(place)) is not None for place in _PLACES)


def find_mark(
    files: PlaceFiles,
    own: str,
    is_new: bool,
    wanted: Collection[str],
    known: Collection[str],
    rebuilding: bool,
    shared: SharedIndex | None = None,
) -> str:
    """The mark that the bucket's places have or shall have; changes nothing. ``own`` is that of the data directory,
    which ``is_new`` where it has none yet; ``known`` are the places that have blobs there as far as it knows. A new
    one takes the mark of the bucket where that belongs to the index which it is to share.

    Raises FailedPrecondition where another server's blobs lie there, or blobs that nobody could find any more.
    """
    files.require_bucket()
    found = {place: text for place in _PLACES if (text := files.read(mark_name(place))) is not None}
    if is_new and shared is not None:
        own, known = shared.mark, {*known, *shared.places} & {*wanted}
    if is_new and found:
        own = _adopt(files, found, rebuilding, shared)
    for place in sorted({*wanted, *known}):
        _require_own(files, place, found.get(place), own, place in known, rebuilding)
    for place in found.keys() - {*wanted, *known}:
        if find_owner(found[place], own) is Owner.OWN and files.holds_blobs(place):
            raise FailedPrecondition(
                f"blobs: {files.locate(place)} holds stored instances of {place}, which storage_tiers does not name",
                advice=f"add {place} to storage_tiers",
            )
    return own


def _adopt(files: PlaceFiles, found: Mapping[str, str], rebuilding: bool, shared: SharedIndex | None) -> str:
    """The mark of a bucket, for a data directory that has none: it is another server's of the same index, or it was
    lost, or it is the wrong one."""
    if shared is not None:
        return _join(files, found, shared.mark)
    if not rebuilding:
        raise FailedPrecondition(
            f"blobs: {files.address} holds the blobs of a server, and the data directory is not the one that belongs "
            "to them: it has no places.json",
            advice=f"put the data directory back from a backup; or {REBUILD}; or {_ANOTHER}",
        )
    if len(set(found.values())) > 1:
        raise FailedPrecondition(f"blobs: {files.address} holds the blobs of several servers", advice=_ANOTHER)
    return next(iter(found.values()))


def _join(files: PlaceFiles, found: Mapping[str, str], index: str) -> str:
    """The mark is that of the index where its servers had no directories before, else any that stands beside it."""
    marks = set(found.values())
    if marks == {index} or (len(marks) == 1 and _read_indexes(files, found) == {index}):
        return marks.pop()
    raise FailedPrecondition(
        f"blobs: {files.address} holds the blobs of another index than the one that database names",
        advice=f"name the database that belongs to them; or {_ANOTHER}; or {REBUILD}",
    )


def _read_indexes(files: PlaceFiles, places: Collection[str]) -> set[str]:
    """The marks of the indexes that the blobs of these places belong to."""
    names = [mark_path("", place).name for place in places]
    return {parse_mark(text, f"{files.address}/{name}").mark for name in names if (text := files.read(name))}


def _require_own(
    files: PlaceFiles, place: str, present: str | None, own: str, is_known: bool, rebuilding: bool
) -> None:
    owner = find_owner(present, own)
    if owner is Owner.ANOTHER:
        raise _belong_to_another(files, place)
    if owner is Owner.NOBODY and is_known:
        raise FailedPrecondition(
            f"blobs: {files.address} is not the place that holds the {place} blobs of this server: it has no "
            f"{mark_name(place)}",
            advice="name the right bucket; where that object was deleted, put it back: it says what the file of this "
            "name in DATA/blobs says",
        )
    if owner is Owner.NOBODY and not rebuilding and files.holds_blobs(place):
        raise FailedPrecondition(
            f"blobs: {files.locate(place)} is not empty, and {files.address} has no {mark_name(place)} that says whose "
            "objects these are",
            advice=f"{_ANOTHER}; if they are this server's, {REBUILD}",
        )


def claim(files: PlaceFiles, places: Collection[str], mark: str) -> None:
    """Mark the places, after ``find_mark``. Raises FailedPrecondition, also where another server does so at the same
    time and is sooner. Where the object storage does not know the condition of the request, the last one has the mark:
    the other one finds that here, or when it begins to write (``BlobBucket.require_mark``)."""
    for place in places:
        if find_owner(files.read(mark_name(place)), mark) is not Owner.OWN:
            files.create(mark_name(place), mark)
            if find_owner(files.read(mark_name(place)), mark) is not Owner.OWN:
                raise _belong_to_another(files, place)


def _belong_to_another(files: PlaceFiles, place: str) -> FailedPrecondition:
    return FailedPrecondition(f"blobs: {files.locate(place)} holds the blobs of another server", advice=_ANOTHER)


def require_empty(files: PlaceFiles, places: Collection[str]) -> None:
    """The settings name these no more. Raises FailedPrecondition where blobs could no longer be found."""
    for place in places:
        if files.holds_blobs(place):
            raise FailedPrecondition(
                f"storage_tiers: {place} has blobs in {files.locate(place)}. Keep the setting until their class is "
                "changed"
            )


def release(files: PlaceFiles, places: Collection[str]) -> None:
    """Raises FailedPrecondition."""
    for place in places:
        files.ask(partial(files.remove, mark_name(place)))


def find_wrong_claims(files: PlaceFiles, places: Collection[str], mark: str) -> Iterator[str]:
    """What is wrong with the marks in the bucket; changes nothing."""
    for place in places:
        try:
            owner = find_owner(files.read(mark_name(place)), mark)
        except FailedPrecondition as error:
            yield error.what
            continue
        if owner is Owner.NOBODY:
            yield f"{files.address} has no {mark_name(place)} that it holds the {place} blobs of this server"
        elif owner is Owner.ANOTHER:
            yield f"{files.locate(place)} holds the blobs of another server"
