"""The one rewriter: an instance in another transfer syntax or VR form (PS3.5 §7.1, §A; PS3.10 §7.1).

Heads of elements, lengths of items and the file meta group are written anew. Bytes of values are not touched, the byte
order apart: what they mean need not be known for that. What was written is read again and compared before it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from struct import pack
from typing import NamedTuple

from gantry.dicom.buffers import Buffer
from gantry.dicom.elements import IMPLICIT_LE, DataSet, Element, Encoding, is_sequence, read_head
from gantry.dicom.file_meta import explicit_head, implicit_head
from gantry.dicom.tags import ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, UNDEFINED, format_tag, is_group_length
from gantry.dicom.traversal import CONTEXT_OF_VALUES, Kind, Scope, Step, read_steps
from gantry.dicom.vr import fits
from gantry.dicom.words import swap_words, word_size
from gantry.errors import FailedPrecondition, Internal, InvalidArgument

_LOOKED_INTO = frozenset(("", "UN", "SQ"))
"""VRs of elements whose heads may not be what they seem, or that have items."""

_NUMBER = 0xFFFF
"""Of a tag, that of its element: 0 is a group length (see ``is_group_length``)."""

_ITEM_END, _SEQUENCE_END = implicit_head(ITEM_END, 0), implicit_head(SEQUENCE_END, 0)


class NewElement(NamedTuple):
    """An element to be written. ``value`` is little endian; where ``undefined_length``, items without a delimiter."""

    vr: str
    value: Buffer
    undefined_length: bool = False


Changes = dict[int, NewElement | None]
"""Tag → the element that takes its place at the top level; None removes it."""


Inside = dict[int, NewElement | None]
"""Place of an element in a sequence → the element with the same tag that takes its place; None removes it."""

_NOTHING: Mapping[int, NewElement | None] = {}


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
        tag = element[0]
        if tag in CONTEXT_OF_VALUES:
            scope = scope.after(element)
        if tag < last:
            is_in_order = False
        last = tag
        found.append((element, scope))
    return found if is_in_order else sorted(found, key=lambda placed: placed[0].tag)


def rewrite(
    data_set: DataSet,
    placed: Sequence[Placed],
    changes: Changes,
    target: Encoding,
    inside: Mapping[int, NewElement | None] = _NOTHING,
) -> list[Buffer]:
    """The elements of a data set in the encoding ``target``, explicit or implicit little endian.

    Group lengths are left out, as they may be wrong now; they are retired (PS3.5 §7.2). Raises FailedPrecondition for
    what cannot be written in that encoding.
    """
    pieces: list[Buffer] = []
    new = sorted(((tag, change) for tag, change in changes.items() if change is not None), key=lambda pair: pair[0])
    number, start, end = 0, 0, 0  # the next one of ``new``, and the bytes that are copied as they are
    for element, scope in placed:
        tag, vr, begin, _, _, stop, encoding = element
        while number < len(new) and new[number][0] <= tag:
            pieces += (data_set.data[start:end], *_write_new(*new[number], target))
            number, start, end = number + 1, 0, 0
        if tag in changes or not tag & _NUMBER:
            continue
        is_plain = encoding is target and vr not in _LOOKED_INTO
        if not is_plain or begin != end:
            pieces.append(data_set.data[start:end])
            start = end = begin
        if is_plain:
            end = stop
        else:
            pieces += rewrite_element(data_set, element, scope, target, inside)
    pieces.append(data_set.data[start:end])
    for tag, change in new[number:]:
        pieces += _write_new(tag, change, target)
    return pieces


def rewrite_element(
    data_set: DataSet,
    element: Element,
    scope: Scope,
    target: Encoding,
    inside: Mapping[int, NewElement | None] = _NOTHING,
) -> Sequence[Buffer]:
    """One element and all that is in it. Raises FailedPrecondition."""
    vr = scope.resolve_vr(element)
    if not is_sequence(element, vr):
        return _rewrite_value(data_set, element, vr, scope.bits, target)
    try:
        steps = _read_steps(data_set, element, scope)
        if _is_changed_inside(element, inside):
            return _rewrite_sequence(data_set, steps, target, inside)
        if _has_plain_heads(data_set, element, target) or all(is_as_wanted(data_set, s.element, target) for s in steps):
            return (data_set.data[element.start : element.end],)
        return _rewrite_sequence(data_set, _read_steps(data_set, element, scope), target)
    except InvalidArgument:
        return _copy_unread(data_set, element, target)


def _is_changed_inside(element: Element, inside: Mapping[int, NewElement | None]) -> bool:
    return any(element.start < place < element.end for place in inside)


def _has_plain_heads(data_set: DataSet, sequence: Element, target: Encoding) -> bool:
    """Whether all heads inside have a VR and are in the encoding ``target``, so that nothing of them would be written
    otherwise; cheaper than to look at each step. False where that cannot be seen at once."""
    if sequence.encoding is not target or sequence.vr != "SQ":
        return False
    data, at, end = data_set.data, sequence.value, sequence.stop
    while at + 8 <= end:
        tag, vr, at, length = read_head(data, at, end, target)
        if tag >> 16 == 0xFFFE or vr == "SQ":
            continue
        if vr in _LOOKED_INTO or length == UNDEFINED:
            return False
        at += length
    return at == end


def _read_steps(data_set: DataSet, element: Element, scope: Scope) -> Iterator[Step]:
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
    value, is_open = swap_to_little_endian(data_set, element, vr, bits), element.undefined_length
    length = UNDEFINED if is_open else len(value)
    if target.explicit:
        head = explicit_head(element.tag, choose_vr(element, vr, bits, len(value)), length)
    elif element.has_fragments:
        raise FailedPrecondition(f"{format_tag(element.tag)} is encapsulated, which implicit VR cannot be")
    else:
        head = implicit_head(element.tag, length)
    return (head, value, _SEQUENCE_END) if is_open else (head, value)


def choose_vr(element: Element, vr: str, bits: int, size: int) -> str:
    """The VR that is written for a value of ``size`` bytes; ``vr`` and ``bits`` as a ``Step`` has them."""
    is_open = element.undefined_length
    if is_open and element.has_fragments:
        return "OB"
    if element.tag == PIXEL_DATA and bits > 8:
        return "OW"  # PS3.5 §A.2, whatever was written
    return vr if is_open or fits(vr, size) else "UN"


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


def _rewrite_sequence(
    data_set: DataSet,
    steps: Iterator[Step],
    target: Encoding,
    inside: Mapping[int, NewElement | None] = _NOTHING,
) -> Sequence[Buffer]:
    """Lengths are known when what they are of has been written, so heads are put in last."""
    pieces: list[Buffer] = []
    size = 0
    heads: list[tuple[int, int]] = []  # of what is open: which piece is its head, and the size before it
    for step in _leave_out(steps, inside) if inside else steps:
        element, kind = step.element, step.kind
        if kind is Kind.VALUE:
            changed = inside.get(element.start)
            if changed is not None:
                new = _write_new(element.tag, changed, target)
            else:
                is_length = is_group_length(element.tag)
                new = () if is_length else _rewrite_value(data_set, element, step.vr, step.bits, target)
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


def _leave_out(steps: Iterator[Step], inside: Mapping[int, NewElement | None]) -> Iterator[Step]:
    """The steps without those of what goes, and of all that is in it."""
    gone = -1
    for step in steps:
        start, kind = step.element.start, step.kind
        if gone >= 0:
            if start == gone and kind is Kind.SEQUENCE_END:
                gone = -1
        elif kind is Kind.SEQUENCE and inside.get(start, step) is None:
            gone = start
        elif kind is not Kind.VALUE or inside.get(start, step) is not None:
            yield step


def _copy_unread(data_set: DataSet, element: Element, target: Encoding) -> Sequence[Buffer]:
    """A sequence whose items cannot be told apart: as it is, or as UN, which has the bytes of implicit VR (§6.2.2)."""
    if is_as_wanted(data_set, element, target):
        return (data_set.data[element.start : element.end],)
    if element.inner is not IMPLICIT_LE:
        raise FailedPrecondition(
            f"{format_tag(element.tag)} has items that cannot be told apart, so they cannot be written in another VR "
            "form; the instance can be had as it is stored"
        )
    is_open = element.undefined_length
    value = data_set.data[element.value : element.stop]
    head = _write_head(element.tag, "UN", UNDEFINED if is_open else len(value), target)
    return (head, value, _SEQUENCE_END if is_open else b"")


# --- the proof


def require_same(
    old: DataSet,
    placed: Sequence[Placed],
    changes: Changes,
    new: DataSet,
    start: int = 0,
    inside: Mapping[int, NewElement | None] = _NOTHING,
) -> None:
    """That ``new`` has, from ``start`` on, the elements of ``old`` with the same bytes, but for ``changes``.

    Raises Internal.
    """
    try:
        is_same = _is_same(old, placed, changes, new, start, inside)
    except InvalidArgument:
        is_same = False
    if not is_same:
        raise Internal("the instance was not written as it is stored; this is a mistake of the server")


def _is_same(
    old: DataSet,
    placed: Sequence[Placed],
    changes: Changes,
    new: DataSet,
    at: int,
    inside: Mapping[int, NewElement | None],
) -> bool:
    """Elements with the same bytes in the same encoding are the same, so that only others need to be read again."""
    kept = [each for each in placed if each[0][0] & _NUMBER and each[0][0] not in changes]
    written = {tag: change for tag, change in changes.items() if change is not None}
    number, end = 0, len(new.data)
    for tag in (*sorted(written), None):
        stop = _find_end_of_run(kept, number, tag)
        while number < stop:
            first, last = kept[number][0], kept[stop - 1][0]
            is_alike = not inside and first.encoding is new.encoding
            if is_alike and _are_same_bytes(old.data, first.start, last.end, new.data, at):
                at += last.end - first.start
            else:
                others = new.read_elements(at, end, new.encoding)
                for one, scope in kept[number:stop]:
                    other = next(others, None)
                    if (
                        other is None
                        or one.tag != other.tag
                        or not _has_same_value(old, one, scope, new, other, inside)
                    ):
                        return False
                    at = other.end
            number, stop = stop, _find_end_of_run(kept, stop, tag)
        if tag is not None:
            changed = next(new.read_elements(at, end, new.encoding), None)
            if changed is None or changed.tag != tag or not _has_value(new, changed, written[tag].value):
                return False
            at = changed.end
    return number == len(kept) and at == end


def _find_end_of_run(kept: Sequence[Placed], number: int, before: int | None) -> int:
    """Behind the last of those elements from a place on that follow each other in the old data set, and that come
    before a tag."""
    end = -1
    for place in range(number, len(kept)):
        tag, _, start, _, _, stop, _ = kept[place][0]
        if (before is not None and tag > before) or (start != end and end >= 0):
            return place
        end = stop
    return len(kept)


def _has_value(new: DataSet, element: Element, value: Buffer) -> bool:
    return element.stop - element.value == len(value) and _are_same_bytes(value, 0, len(value), new.data, element.value)


def _has_same_value(
    old: DataSet, one: Element, scope: Scope, new: DataSet, other: Element, inside: Mapping[int, NewElement | None]
) -> bool:
    """The same bytes; or the same values in the same items, whatever their heads and byte order."""
    if _is_changed_inside(one, inside):
        return _have_same_contents(old, read_steps(old, iter((one,)), scope), new, other, inside)
    is_alike = one.stop - one.value == other.stop - other.value and one.encoding.order == "<"
    if is_alike and _are_same_bytes(old.data, one.value, one.stop, new.data, other.value):
        return not other.encoding.explicit or _has_written_vr(old, one, scope.resolve_vr(one), scope.bits, other)
    return _have_same_contents(old, read_steps(old, iter((one,)), scope), new, other, _NOTHING)


def _has_written_vr(old: DataSet, one: Element, vr: str, bits: int, other: Element) -> bool:
    """Whether ``other`` has the VR that is written for ``one``; without one a sequence may be UN (``_copy_unread``)."""
    _, written, _, value, stop, _, target = other
    if not target.explicit:
        return True
    if is_sequence(one, vr):
        return written == "SQ" or (written == "UN" and one.vr != "SQ")
    return written == (one.vr if is_as_wanted(old, one, target) else choose_vr(one, vr, bits, stop - value))


def _are_same_bytes(old: Buffer, start: int, stop: int, new: Buffer, at: int) -> bool:
    """Without a copy of bytes, and without comparing views, which goes item by item and slowly."""
    return bytes(new).startswith(memoryview(old)[start:stop], at)


def _have_same_contents(
    old: DataSet, steps: Iterator[Step], new: DataSet, other: Element, inside: Mapping[int, NewElement | None]
) -> bool:
    """Whether ``other`` can be walked as ``steps`` say: implicit VR does not tell private sequences apart."""
    elements, sequences = [iter((other,))], []
    for step in _leave_out(steps, inside) if inside else steps:
        kind = step.kind
        if kind in (Kind.VALUE, Kind.SEQUENCE):
            if is_group_length(step.element.tag):
                continue
            found = next(elements[-1], None)
            if found is None or found.tag != step.element.tag:
                return False
            changed = inside.get(step.element.start)
            if changed is not None:
                if found.vr not in ("", changed.vr) or not _has_value(new, found, changed.value):
                    return False
                continue
            if not _has_written_vr(old, step.element, step.vr, step.bits, found):
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
