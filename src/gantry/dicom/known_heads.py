"""Heads of elements that other files had: to recognise a hundred of them takes a tenth of the time of walking them.

The files of a series differ in values, and in the lengths of a few of them. A ``Pattern`` says what they have in
common: stretches of heads that are compared at once, and between them elements of any length. Where all heads are the
same, a walk from head to head ends at the same place, whatever the values are. So nothing is believed that was not
compared; what a pattern does not have is left to the walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Literal, NamedTuple

from gantry.dicom.elements import Encoding
from gantry.dicom.vr import LONG, SHORT

MOST_PATTERNS = 4  # of series whose files come in turn
MOST_HEADS = 1000  # of a pattern
MOST_PAUSE = 255
"""Files that are not learnt from, at most, after some that had little in common: it takes as long as two walks."""
_LEAST_HEADS = 4  # of a stretch: fewer are as fast one by one
_HEAD_BYTES = 12  # of the longer form (PS3.5 §7.1.2)

Values = dict[int, bytes]


class Kept(NamedTuple):
    """A value that a walk keeps: its longest length, and the number of the dict that it belongs into."""

    most: int
    place: int


class Head(NamedTuple):
    """The head of an element: ``kind`` is all of it but the length, which takes ``width`` bytes.

    ``is_loose``: other files had another length.
    """

    tag: int
    kind: bytes
    width: int
    length: int
    is_loose: bool = False


class Stretch(NamedTuple):
    """Elements one behind the other, of known lengths. ``values`` are those to be kept in each dict."""

    read: Callable[[bytes, int], tuple[int, ...]]
    heads: tuple[int, ...]
    length: int
    last: int
    elements: int
    values: tuple[tuple[tuple[int, ...], Callable[[bytes, int], tuple[bytes, ...]]], ...]

    def follow(self, window: bytes, at: int, limit: int, found: Sequence[Values]) -> int:
        """Where the next head begins; -1 where something else stands at ``at``."""
        if at + self.length > limit or self.read(window, at) != self.heads:
            return -1
        for known, (tags, read) in zip(found, self.values, strict=True):
            known.update(zip(tags, read(window, at), strict=True))
        return at + self.length


class Loose(NamedTuple):
    """One element of any length up to ``most``; ``place`` is -1 where its value is not kept."""

    kind: bytes
    width: int
    order: Literal["little", "big"]
    most: int
    place: int
    last: int
    elements: int = 1

    def follow(self, window: bytes, at: int, limit: int, found: Sequence[Values]) -> int:
        """As ``Stretch.follow``."""
        if not window.startswith(self.kind, at):
            return -1
        at += len(self.kind)
        value = at + self.width
        length = int.from_bytes(window[at:value], self.order)
        if length > self.most or value + length > limit:
            return -1
        if self.place >= 0:
            found[self.place][self.last] = window[value : value + length]
        return value + length


Steps = tuple[Stretch | Loose, ...]


class Pattern(NamedTuple):
    """What files have in common from their first element on."""

    heads: tuple[Head, ...]
    steps: Steps


class Passed(NamedTuple):
    """``at`` is where the next head begins, ``last`` the tag before it, ``elements`` how many were passed."""

    at: int
    last: int = 0
    elements: int = 0


class KnownHeads:
    """The patterns of files of one encoding.

    Passed are elements of ``groups`` whose values have at most ``most`` bytes, and those to be ``kept`` by tag. Safe to
    use from many threads: a pattern never changes.
    """

    def __init__(self, encoding: Encoding, groups: range, most: int, kept: Mapping[int, Kept]) -> None:
        self._encoding, self._groups, self._most, self._kept = encoding, groups, most, kept
        self._patterns: tuple[Pattern, ...] = ()
        self._wait = self._pause = 0

    def follow(self, window: bytes, start: int, limit: int, found: Sequence[Values]) -> Passed:
        """Pass known elements from the place ``start`` on that lie in ``window``, and before ``limit``.

        ``found`` are the dicts for values to be kept, without any of these values.
        """
        best = Passed(start)
        for pattern in self._patterns:
            passed = _follow(pattern.steps, window, start, limit, found)
            if passed.elements == len(pattern.heads):
                self._prefer(pattern)
                return passed
            best = max(best, passed)
        if self._wait > 0:
            self._wait -= 1
        else:
            self._wait = self._pause = min(2 * self._pause + 1, MOST_PAUSE)
            self._learn(tuple(self._list(window, start, limit)))
        return best

    def _prefer(self, pattern: Pattern) -> None:
        self._pause >>= 1
        self._wait = min(self._wait, self._pause)
        if pattern is not self._patterns[0]:
            self._put_first(pattern, pattern)

    def _put_first(self, new: Pattern, old: Pattern | None = None) -> None:
        others = tuple(each for each in self._patterns if each is not old)
        self._patterns = (new, *others)[:MOST_PATTERNS]

    def _learn(self, heads: tuple[Head, ...]) -> None:
        """From a file that fits no pattern: it widens one whose elements it has all, else it is a new one."""
        if len(heads) < _LEAST_HEADS:
            return
        for pattern in self._patterns:
            common = _merge(pattern.heads, heads)
            if len(common) == len(pattern.heads):
                self._put_first(self._make(common), pattern)
                return
        self._put_first(self._make(heads))

    def _list(self, window: bytes, at: int, limit: int) -> Iterator[Head]:
        """The heads from a place on, up to the first that a walk would not just pass."""
        seen: set[int] = set()
        for _ in range(MOST_HEADS):
            if at + _HEAD_BYTES > limit or (head := _read_head(window, at, self._encoding)) is None:
                return
            at += len(head.kind) + head.width + head.length
            wanted = self._kept.get(head.tag)
            too_long = head.length > (wanted.most if wanted else self._most) or at > limit
            is_odd = wanted is not None and head.kind[4:6] == b"UN"  # its byte order may be another one
            if too_long or is_odd or head.tag in seen or head.tag >> 16 not in self._groups:
                return
            if wanted:
                seen.add(head.tag)  # whether its values differ is for the walk to say
            yield head

    def _make(self, heads: tuple[Head, ...]) -> Pattern:
        steps: list[Stretch | Loose] = []
        run: list[Head] = []
        for head in heads:
            if head.is_loose:
                steps += self._make_steps(run)
                steps.append(self._make_loose(head))
                run = []
            else:
                run.append(head)
        return Pattern(heads, (*steps, *self._make_steps(run)))

    def _make_steps(self, run: Sequence[Head]) -> Sequence[Stretch | Loose]:
        if len(run) < _LEAST_HEADS:
            return [self._make_loose(head) for head in run]
        form = "".join(f"Q{'I' if len(head.kind) + head.width > 8 else ''}{head.length}x" for head in run)
        read = Struct(f"<{form}")
        order = _byte_order(self._encoding)
        sample = b"".join(head.kind + head.length.to_bytes(head.width, order) + bytes(head.length) for head in run)
        values = tuple(self._make_values(run, place) for place in (0, 1))
        return [Stretch(read.unpack_from, read.unpack(sample), len(sample), run[-1].tag, len(run), values)]

    def _make_values(
        self, run: Sequence[Head], place: int
    ) -> tuple[tuple[int, ...], Callable[[bytes, int], tuple[bytes, ...]]]:
        form, tags, skipped = "<", [], 0
        for head in run:
            skipped += len(head.kind) + head.width
            wanted = self._kept.get(head.tag)
            if wanted and wanted.place == place:
                form += f"{skipped}x{head.length}s"
                tags.append(head.tag)
                skipped = 0
            else:
                skipped += head.length
        return tuple(tags), Struct(form).unpack_from

    def _make_loose(self, head: Head) -> Loose:
        most, place = self._kept.get(head.tag) or Kept(self._most, -1)
        return Loose(head.kind, head.width, _byte_order(self._encoding), most, place, head.tag)


def _follow(steps: Steps, window: bytes, at: int, limit: int, found: Sequence[Values]) -> Passed:
    last = elements = 0
    for step in steps:
        stop = step.follow(window, at, limit, found)
        if stop < 0:
            break
        at, last, elements = stop, step.last, elements + step.elements
    return Passed(at, last, elements)


def _merge(known: Sequence[Head], heads: Sequence[Head]) -> tuple[Head, ...]:
    """What both begin with: elements whose lengths differ are loose."""
    common: list[Head] = []
    for one, other in zip(known, heads, strict=False):
        if one.kind != other.kind:
            break
        common.append(one if one.length == other.length else one._replace(is_loose=True))
    return tuple(common)


def _read_head(window: bytes, at: int, encoding: Encoding) -> Head | None:
    """None for an element without a known VR, where the encoding has VRs."""
    size, width = 8, 4
    if encoding.explicit:
        letters = window[at + 4 : at + 6]
        if letters in SHORT:
            width = 2
        elif letters in LONG:
            size = 12
        else:
            return None
    group, element, _ = encoding.item.unpack_from(window, at)
    length = int.from_bytes(window[at + size - width : at + size], _byte_order(encoding))
    return Head(group << 16 | element, window[at : at + size - width], width, length)


def _byte_order(encoding: Encoding) -> Literal["little", "big"]:
    return "big" if encoding.order == ">" else "little"
