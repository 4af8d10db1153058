"""Each row has its bytes: they are there, as many as the row says, and can be read; and each object has a row.

Rows and listing come in the same order, object by object. So a segment is looked at once for all of its instances, and
of a bucket nothing is asked for each instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from gantry.checking.directory import Checked
from gantry.checking.files import check_unnamed
from gantry.checking.lost import ask, judge, look_again
from gantry.errors import StatusError
from gantry.findings import Finding, Kind
from gantry.index_protocols.checks import HeldBlobs
from gantry.resources import ObjectMeta

_TOLD = 10_000  # instances between two reports of progress
_OBJECTS = 1_000
"""Looked at at once: many requests to a bucket are on their way then."""
_INSTANCES = 20_000
"""The most of them, and those of one object, that are held in memory."""
_UNNAMED = 20_000
"""Objects looked up at once: each look-up of objects that hold one instance reads all rows."""


class Pair(NamedTuple):
    """An object: the rows that name it, and what a listing says of it. One of them may not know it."""

    held: HeldBlobs | None
    found: ObjectMeta | None

    @property
    def key(self) -> str:
        return (self.held or self.found).key  # type: ignore[union-attr]


def check_stored(checked: Checked) -> Iterator[Finding]:
    """With ``reads``, objects of one instance are read as a whole; ``checking.contents`` reads segments."""
    told: list[Finding] = []
    unnamed: list[str] = []
    # The rows first: what a server stores meanwhile is in the listing alone, and its row is looked for later.
    for some in _cut(_match(checked.index.checks.walk_objects(), _list(checked, told))):
        yield from told
        told.clear()
        yield from _check_some(checked, [pair for pair in some if pair.held is not None])
        unnamed += [pair.key for pair in some if pair.held is None]
        if len(unnamed) >= _UNNAMED:
            yield from check_unnamed(checked, unnamed)
            unnamed.clear()
    yield from told
    yield from check_unnamed(checked, unnamed)


def _list(checked: Checked, told: list[Finding]) -> Iterator[ObjectMeta]:
    """All that lies in the places, in the order of the keys. What cannot be listed is ``told``; rows that name
    something there are looked at one by one."""
    for place in sorted(checked.places):
        try:
            for entry in checked.blobs.list(f"{place}/"):
                if checked.is_away(place):
                    break
                if entry.problem and entry.key.endswith("/"):
                    told.append(Finding(Kind.NOT_CHECKED, entry.key, entry.problem))
                else:
                    yield entry
        except StatusError as error:
            if error.waits_for is None:
                told.append(Finding(Kind.NOT_CHECKED, place, error.what))
            elif not checked.is_away(place):
                told.append(checked.note_away(place, error))


def _match(rows: Iterator[HeldBlobs], listed: Iterator[ObjectMeta]) -> Iterator[Pair]:
    """Both are sorted by the bytes of the keys."""
    both: Iterator[tuple[str, HeldBlobs | ObjectMeta]]
    both = merge(((each.key, each) for each in rows), ((each.key, each) for each in listed), key=itemgetter(0))
    for _, same in groupby(both, itemgetter(0)):
        held: HeldBlobs | None = None
        found: ObjectMeta | None = None
        for _, each in same:
            if isinstance(each, HeldBlobs):
                held = each
            elif isinstance(each, ObjectMeta):
                found = each
        yield Pair(held, found)


def _cut(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    """Some at a time, all of one place."""
    some: list[Pair] = []
    count = 0
    for pair in pairs:
        is_full = len(some) >= _OBJECTS or count >= _INSTANCES
        if some and (is_full or pair.key.partition("/")[0] != some[0].key.partition("/")[0]):
            yield some
            some, count = [], 0
        some.append(pair)
        count += len(pair.held.blobs) if pair.held else 0
    if some:
        yield some


def _check_some(checked: Checked, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """All of them have rows."""
    for held, _ in pairs:
        _count(checked, held)
    if not pairs or checked.is_away(pairs[0].key):
        return
    try:
        listed = [(held, found) for held, found in pairs if held and found is not None and not found.problem]
        asked = checked.blobs.find_lost(
            [(found, [each.key for each in held.blobs]) for held, found in listed], checked.reads
        )
        for (held, there), lost in zip(listed, asked, strict=True):
            yield from look_again(checked, held, judge(checked, held, there, lost))
        for held, found in pairs:
            if held and (found is None or found.problem):
                yield from look_again(checked, held, ask(checked, held))
    except StatusError as error:
        if error.waits_for is None:
            raise
        yield checked.note_away(pairs[0].key, error)


def _count(checked: Checked, held: HeldBlobs | None) -> None:
    before = checked.instances
    for each in held.blobs if held else ():
        checked.instances += 1
        checked.bytes += each.size
    if checked.instances // _TOLD > before // _TOLD:
        checked.tell("bytes of instances", checked.instances)
