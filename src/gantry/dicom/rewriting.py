"""The one rewriter: an instance in another transfer syntax or VR form (PS3.5 §7.1, §A; PS3.10 §7.1).

Heads of elements, lengths of items and the file meta group are written anew. Bytes of values are not touched, the byte
order apart: what they mean need not be known for that. What was written is read again and compared before it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import pack
from typing import NamedTuple

from gantry.dicom.buffers import Buffer
from gantry.dicom.elements import IMPLICIT_LE, DataSet, Element, Encoding, is_sequence
from gantry.dicom.file_meta import explicit_head, implicit_head
from gantry.dicom.tags import ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, UNDEFINED, is_group_length
from gantry.dicom.traversal import CONTEXT_OF_VALUES, Kind, Scope, Step, read_steps
from gantry.dicom.vr import fits
from gantry.dicom.words import swap_words, word_size
from gantry.errors import FailedPrecondition, Internal, InvalidArgument

_SHORT, _PIECE = 256, 64 << 10
_LOOKED_INTO = frozenset(("", "UN", "SQ"))
"""VRs of elements whose heads may not be what they seem, or that have items."""

_ITEM_END, _SEQUENCE_END = implicit_head(ITEM_END, 0), implicit_head(SEQUENCE_END, 0)


class NewElement(NamedTuple):
    """An element to be written. ``value`` is little endian; where ``undefined_length``, items without a delimiter."""

    vr: str
    value: bytes
    undefined_length: bool = False


Changes = dict[int, NewElement | None]
"""Tag → the element that takes its place at the top level; None removes it."""


def number_element(value: int) -> NewElement:
    return NewElement("US", pack("<H", value))


def text_element(vr: str, *values: str) -> NewElement:
    text = "\\".join(values).encode("ascii")
    return NewElement(vr, text + b" " * (len(text) % 2))


Placed = tuple[Element, Scope]
"""An element of the top level, and what those before it say of it."""


def place_elements(data_set: DataSet) -> list[Placed]:
    """All elements in the order of their tags. Raises InvalidArgument."""
    scope, found, last, is_in_order = Scope(data_set, len(data_set.data)), list[Placed](), -1, True
    for element in data_set.elements():
        tag = element.tag
        scope = scope.after(element) if tag in CONTEXT_OF_VALUES else scope
        is_in_order = is_in_order and tag >= last
        last = tag
        found.append((element, scope))
    return found if is_in_order else sorted(found, key=lambda placed: placed[0].tag)


def rewrite(data_set: DataSet, placed: Sequence[Placed], changes: Changes, target: Encoding) -> list[Buffer]:
    """The elements of a data set in the encoding ``target``, explicit or implicit little endian.

    Group lengths are left out, as they may be wrong now; they are retired (PS3.5 §7.2). Raises FailedPrecondition for
    what cannot be written in that encoding.
    """
    pieces: list[Buffer] = []
    new = sorted(((tag, change) for tag, change in changes.items() if change is not None), key=lambda pair: pair[0])
    number, start, end = 0, 0, 0  # the next one of ``new``, and the bytes that are copied as they are
    for element, scope in placed:
        tag = element.tag
        while number < len(new) and new[number][0] <= tag:
            pieces += (data_set.data[start:end], *_write_new(*new[number], target))
            number, start, end = number + 1, 0, 0
        if tag in changes or is_group_length(tag):
            continue
        is_plain = element.encoding is target and element.vr not in _LOOKED_INTO
        if not is_plain or element.start != end:
            pieces.append(data_set.data[start:end])
            start = end = element.start
        if is_plain:
            end = element.end
        else:
            pieces += rewrite_element(data_set, element, scope, target)
    pieces.append(data_set.data[start:end])
    for tag, change in new[number:]:
        pieces += _write_new(tag, change, target)
    return pieces


def rewrite_element(data_set: DataSet, element: Element, scope: Scope, target: Encoding) -> Sequence[Buffer]:
    """One element and all that is in it. Raises FailedPrecondition."""
    vr = scope.resolve_vr(element)
    if not is_sequence(element, vr):
        return _rewrite_value(data_set, element, vr, scope.bits, target)
    try:
        if all(is_as_wanted(data_set, step.element, target) for step in _steps_of(data_set, element, scope)):
            return (data_set.data[element.start : element.end],)
        return _rewrite_sequence(data_set, _steps_of(data_set, element, scope), target)
    except InvalidArgument:
        return _copy_unread(data_set, element, target)


def _steps_of(data_set: DataSet, element: Element, scope: Scope) -> Iterator[Step]:
    return read_steps(data_set, iter((element,)), scope)


def is_as_wanted(data_set: DataSet, element: Element, target: Encoding) -> bool:
    """Whether the head is what would be written: the encoding, and letters that are a VR."""
    if element.encoding is not target:
        return False
    if not target.explicit or element.vr not in ("", "UN"):
        return True
    return bytes(data_set.data[element.start + 4 : element.start + 6]) == b"UN" == element.vr.encode()


def _rewrite_value(data_set: DataSet, element: Element, vr: str, bits: int, target: Encoding) -> Sequence[Buffer]:
    if is_as_wanted(data_set, element, target):
        return (data_set.data[element.start : element.end],)
    tag, value = element.tag, swap_to_little_endian(data_set, element, vr, bits)
    if element.has_fragments:
        if not target.explicit:
            raise FailedPrecondition(f"{_name(tag)} is encapsulated, which implicit VR cannot be")
        return (explicit_head(tag, "OB", UNDEFINED), value, _SEQUENCE_END)
    if tag == PIXEL_DATA and bits > 8:
        vr = "OW"  # PS3.5 §A.2, whatever was written
    length = UNDEFINED if element.undefined_length else len(value)
    return (_write_head(tag, vr, length, target), value, *((_SEQUENCE_END,) if element.undefined_length else ()))


def swap_to_little_endian(data_set: DataSet, element: Element, vr: str, bits: int) -> Buffer:
    """The value of an element; ``bits`` are the BitsAllocated of the pixels beside it (PS3.5 §7.3)."""
    value = data_set.data[element.value : element.stop]
    if not element.is_big_endian:
        return value
    return swap_words(value, word_size(element.tag, vr, bits))


def _write_head(tag: int, vr: str, length: int, target: Encoding) -> bytes:
    """UN for bytes that are no whole values of the VR, or too many for it (PS3.5 §6.2.2)."""
    if not target.explicit:
        return implicit_head(tag, length)
    return explicit_head(tag, vr if length == UNDEFINED or fits(vr, length) else "UN", length)


def _write_new(tag: int, new: NewElement, target: Encoding) -> Sequence[Buffer]:
    length = UNDEFINED if new.undefined_length else len(new.value)
    return (_write_head(tag, new.vr, length, target), new.value, _SEQUENCE_END if new.undefined_length else b"")


def _rewrite_sequence(data_set: DataSet, steps: Iterator[Step], target: Encoding) -> Sequence[Buffer]:
    """Lengths are known when what they are of has been written, so heads are put in last."""
    pieces: list[Buffer] = []
    size = 0
    heads: list[tuple[int, int]] = []  # of what is open: which piece is its head, and the size before it
    for step in steps:
        element, kind = step.element, step.kind
        if kind is Kind.VALUE:
            new = () if is_group_length(element.tag) else _rewrite_value(data_set, element, step.vr, step.bits, target)
        elif kind in (Kind.SEQUENCE, Kind.ITEM):
            heads.append((len(pieces), size))
            new = (b"",)
        else:
            place, before = heads.pop()
            length = UNDEFINED if step.is_open else size - before
            is_item = kind is Kind.ITEM_END
            pieces[place] = implicit_head(ITEM, length) if is_item else _write_head(element.tag, "SQ", length, target)
            size += len(pieces[place])
            new = ((_ITEM_END if is_item else _SEQUENCE_END),) if step.is_open else ()
        pieces += new
        size += sum(map(len, new))
    return pieces


def _copy_unread(data_set: DataSet, element: Element, target: Encoding) -> Sequence[Buffer]:
    """A sequence whose items cannot be told apart: as it is, or as UN, which has the bytes of implicit VR (§6.2.2)."""
    if is_as_wanted(data_set, element, target):
        return (data_set.data[element.start : element.end],)
    if element.inner is not IMPLICIT_LE:
        raise FailedPrecondition(
            f"{_name(element.tag)} has items that cannot be told apart, so they cannot be written in another VR form; "
            "the instance can be had as it is stored"
        )
    is_open = element.undefined_length
    value = data_set.data[element.value : element.stop]
    head = _write_head(element.tag, "UN", UNDEFINED if is_open else len(value), target)
    return (head, value, _SEQUENCE_END if is_open else b"")


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


# --- the proof


def require_same(old: DataSet, placed: Sequence[Placed], changes: Changes, new: DataSet) -> None:
    """That ``new`` has the elements of ``old`` with the same bytes, but for ``changes``. Raises Internal."""
    try:
        is_same = _is_same(old, placed, changes, new)
    except InvalidArgument:
        is_same = False
    if not is_same:
        raise Internal("the instance was not written as it is stored; this is a mistake of the server")


def _is_same(old: DataSet, placed: Sequence[Placed], changes: Changes, new: DataSet) -> bool:
    before = [each for each in placed if each[0].tag not in changes and not is_group_length(each[0].tag)]
    after, changed = list[Element](), dict[int, Element]()
    for element in new.elements():
        if element.tag in changes:
            changed[element.tag] = element
        else:
            after.append(element)
    return (
        len(before) == len(after)
        and {tag: new.data[element.value : element.stop] for tag, element in changed.items()}
        == {tag: change.value for tag, change in changes.items() if change is not None}
        and _are_same(old, before, new, after)
    )


def _are_same(old: DataSet, before: Sequence[Placed], new: DataSet, after: Sequence[Element]) -> bool:
    """Those elements at once that stand behind each other in both, and those alone whose heads are other ones."""
    number = 0
    while number < len(before):
        run = _count_alike(before, after, number)
        if run:
            first, last = before[number][0], before[number + run - 1][0]
            if _are_same_bytes(old, first.start, new, after[number].start, last.end - first.start):
                number += run
                continue
        for place in range(number, number + max(run, 1)):
            (one, scope), other = before[place], after[place]
            if one.tag != other.tag or not _has_same_value(old, one, scope, new, other):
                return False
        number += max(run, 1)
    return True


def _count_alike(before: Sequence[Placed], after: Sequence[Element], number: int) -> int:
    """How many elements from a place on have the same tags and lengths in both, and nothing between them."""
    first, count = before[number][0], 0
    shift, end = after[number].start - first.start, first.start
    for place in range(number, len(before)):
        one, other = before[place][0], after[place]
        if one.tag != other.tag or one.start != end or other.start - end != shift or other.end - one.end != shift:
            break
        end = one.end
        count += 1
    return count


def _has_same_value(old: DataSet, one: Element, scope: Scope, new: DataSet, other: Element) -> bool:
    """The same bytes; or the same values in the same items, whatever their heads and byte order."""
    start, length = one.value, one.stop - one.value
    if length == other.stop - other.value and one.encoding.order == "<":
        if length <= _SHORT and old.data[start : one.stop] == new.data[other.value : other.stop]:
            return True
        if length > _SHORT and _are_same_bytes(old, start, new, other.value, length):
            return True
    return _have_same_contents(old, read_steps(old, iter((one,)), scope), new, other)


def _are_same_bytes(old: DataSet, start: int, new: DataSet, other: int, length: int) -> bool:
    """A piece at a time: views are compared item by item, and slowly."""
    return all(
        bytes(old.data[start + at : start + min(at + _PIECE, length)])
        == bytes(new.data[other + at : other + min(at + _PIECE, length)])
        for at in range(0, length, _PIECE)
    )


def _have_same_contents(old: DataSet, steps: Iterator[Step], new: DataSet, other: Element) -> bool:
    """Whether ``other`` can be walked as ``steps`` say: implicit VR does not tell private sequences apart."""
    elements, sequences = [iter((other,))], []
    for step in steps:
        kind = step.kind
        if kind in (Kind.VALUE, Kind.SEQUENCE):
            if is_group_length(step.element.tag):
                continue
            found = next(elements[-1], None)
            if found is None or found.tag != step.element.tag:
                return False
            if kind is Kind.SEQUENCE:
                sequences.append(new.read_items(found))
            elif swap_to_little_endian(old, step.element, step.vr, step.bits) != new.data[found.value : found.stop]:
                return False
        elif kind is Kind.ITEM:
            item = next(sequences[-1], None)
            if item is None:
                return False
            elements.append(item.elements())
        elif next(elements.pop() if kind is Kind.ITEM_END else sequences.pop(), None) is not None:
            return False
    return True
