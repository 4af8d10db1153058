"""Data sets as DICOM JSON (PS3.18 Annex F): the members of elements, of sequences and of items, as drafts.

Texts of short values, and of whole sequences of the first level, are remembered by their bytes: the same ones come
again and again. Items are compared with those before them, by templates (see ``json_templates``).
"""

from __future__ import annotations

from operator import lt

from gantry.dicom.elements import IMPLICIT_LE, MAX_DEPTH, DataSet, Element, Item, is_sequence, new_element
from gantry.dicom.json_templates import Draft, Filled, Place, Template
from gantry.dicom.json_values import (
    BULK_MEMBER,
    CONTEXT_TAGS,
    Context,
    depends_on_later,
    write_bulk,
    write_member,
    write_numbers,
    write_octets,
    write_texts,
)
from gantry.dicom.tags import CHARACTER_SET, META_VERSION, PIXEL_TAGS, TRAILING_PADDING, is_group_length
from gantry.dicom.vr import NUMBERS, OCTETS
from gantry.errors import InvalidArgument

_LEFT_OUT = frozenset((META_VERSION, TRAILING_PADDING))
_BULK = frozenset(("OB", "OW", "UN"))
_PERHAPS_SEQUENCES = frozenset(("SQ", "", "UN"))
_LONGEST_KEY, _LONGEST_SEQUENCE = 256, 64 << 10
_MOST_HELD, _MOST_SEQUENCES_HELD = 32 << 20, 8 << 20
_LONG_SEQUENCE = 2048  # bytes: one for each frame, perhaps
_LEVELS_OF_A_KEY = _LONGEST_KEY // 16  # each level has the heads of an element and of an item
_MOST_NESTED = 16
"""Levels down to which items are compared: deeper ones are seldom many, and a comparison calls itself. A sequence that
is deeper is a leaf."""

_FEW_ITEMS = 2
"""Items that a template is made of. Those of a longer sequence are compared with each other, and not with those of
other data sets."""


class _Texts:
    """Members that were made before, by what they depend on and their bytes; too many are forgotten."""

    def __init__(self, most_held: int) -> None:
        self._by_context: dict[tuple[object, ...], dict[bytes, str]] = {}
        self._held, self._most_held = 0, most_held

    def of(self, context: Context) -> dict[bytes, str]:
        key = (context.encoding, context.character_set, context.signed, not context.bulk_uri, context.keeps_digits)
        found = self._by_context.get(key)
        if found is None:
            self._count(_LONGEST_KEY + len(context.character_set))
            found = self._by_context.setdefault(key, {})
        return found

    def keep(self, texts: dict[bytes, str], key: bytes, text: str) -> None:
        """Not what has an address: it is another one elsewhere."""
        if BULK_MEMBER in text:
            return
        texts[key] = text
        self._count(_LONGEST_KEY + len(key) + len(text))

    def _count(self, size: int) -> None:
        """What two threads keep at a time may be counted wrong by one: that is no harm."""
        self._held += size
        if self._held > self._most_held:
            self._by_context, self._held = {}, size


_texts, _sequences = _Texts(_MOST_HELD), _Texts(_MOST_SEQUENCES_HELD)


def draft_elements(
    data_set: DataSet, item: Item, context: Context, is_fixed: bool = False, takes_known: bool = False
) -> Draft:
    """The elements of an item, or of a whole data set as one, by tag, whatever the order of the bytes.

    ``takes_known``: a sequence that was written before is a leaf, which costs less, and is less alike than what is in
    it. Raises InvalidArgument where the elements cannot be told apart, before it looks at what is in them.
    """
    elements = list(item.elements())
    draft, end, data, cuts = Draft(item.start, context.bulk_uri), item.limit, data_set.data, data_set.cuts
    draft.stop, draft.is_plain = item.find_stop(), is_in_order(elements)
    context_changes = draft.is_plain
    if not draft.is_plain:
        elements, context = put_in_order(data_set, elements, context)
    texts, place, parts, leaves = _texts.of(context), Place(context, is_fixed), draft.parts, draft.leaves
    has_members = False
    longest = _longest_key(context)
    for element in elements:
        tag, vr, start, _, _, stop, _ = element
        key = bytes(data[start:stop]) if stop - start < longest and start not in cuts else b""
        text = texts.get(key)
        if text is None and vr in _PERHAPS_SEQUENCES and _is_readable_sequence(data_set, element, end, context):
            found = _find_sequence(data_set, element, place, takes_known)
            if isinstance(found, Draft):
                if has_members:
                    parts.append(",")
                has_members = True
                draft.take(found)
                continue
            text = found
        if text is None:
            text = _write_value(data_set, element, end, context)
            if key and not depends_on_later(tag, vr, context):
                _texts.keep(texts, key, text)
        if text:
            if has_members:
                parts.append(",")
            has_members = True
        leaves.append((element, len(parts), place))
        parts.append(text)
        if tag in CONTEXT_TAGS and context_changes:
            context = update_context(data_set, element, context)
            texts, place = _texts.of(context), Place(context, is_fixed)
    return draft


def _longest_key(context: Context) -> int:
    """Nothing is remembered where it might be so deep that it is not told apart."""
    return _LONGEST_KEY if context.depth < MAX_DEPTH - _LEVELS_OF_A_KEY else 0


def _find_sequence(data_set: DataSet, element: Element, place: Place, takes_known: bool) -> Draft | str:
    """A sequence as a draft; as a text where it was written before, and where its items cannot be told apart."""
    context = place.context
    longest = _LONGEST_SEQUENCE if context.depth == 0 else _longest_key(context)
    if not takes_known or element.end - element.start >= longest:
        return _draft_sequence(data_set, element, place) or write_bulk(element.tag, "UN", context)
    key, texts = bytes(data_set.data[element.start : element.end]), _sequences.of(context)
    known = texts.get(key)
    if known is not None:
        return known
    found = _draft_sequence(data_set, element, place)
    if found is None:
        return write_bulk(element.tag, "UN", context)
    _sequences.keep(texts, key, found.text())
    return found


def is_in_order(elements: list[Element]) -> bool:
    """Whether each tag is greater than the one before it (PS3.5 §7.1)."""
    tags = [element[0] for element in elements]
    return all(map(lt, tags, tags[1:]))


def put_in_order(data_set: DataSet, elements: list[Element], context: Context) -> tuple[list[Element], Context]:
    """By tag, the first of those with the same one; and what they depend on, which may stand behind them."""
    first: dict[int, Element] = {}
    for element in elements:
        first.setdefault(element.tag, element)
    for tag in CONTEXT_TAGS & first.keys():
        context = update_context(data_set, first[tag], context)
    return [first[tag] for tag in sorted(first)], context


def _is_readable_sequence(data_set: DataSet, element: Element, end: int, context: Context) -> bool:
    if element.start in data_set.cuts or is_group_length(element.tag) or context.depth >= MAX_DEPTH:
        return False
    return is_sequence(element, data_set.resolve_vr(element, context.signed, end))


def _draft_sequence(data_set: DataSet, element: Element, place: Place) -> Draft | None:
    """None where nobody can tell its items apart."""
    tag, context = element.tag, place.context
    uri, inner = context.bulk_uri, context._replace(encoding=element.inner, depth=context.depth + 1)
    is_fixed = place.is_fixed or not element.undefined_length
    found, last, template = Draft(element.start, uri), None, None
    number, is_short = -1, element.stop - element.value < _LONG_SEQUENCE
    try:
        for number, item in enumerate(data_set.read_items(element)):
            found.parts.append(",{" if number else f'"{tag:08X}":{{"vr":"SQ","Value":[{{')
            address = f"{uri}/{tag:08X}/{number}" if uri else ""
            filled = template.compare_item(data_set, item, element.stop) if template else None
            if filled is None:
                in_item = inner._replace(bulk_uri=address)
                takes_known = is_short or number >= _FEW_ITEMS
                draft = draft_elements(data_set, item, in_item, is_fixed or not item.is_open, takes_known)
                template = Template.of(data_set.data, last, data_set.data, draft) if last else None
                last = draft
                if number < _FEW_ITEMS:
                    found.take(draft)
                else:  # of so many nobody asks for leaves
                    found.parts.append(draft.text())
            else:
                found.parts.append(write_filled(data_set, filled, element.stop, address))
            found.parts.append("}")
    except InvalidArgument:
        return None
    found.parts.append("]}" if number >= 0 else write_member(tag, "SQ"))
    if number >= _FEW_ITEMS or context.depth >= _MOST_NESTED:
        found.become_leaf(element, place)
    return found


def write_filled(data_set: DataSet, filled: list[Filled], limit: int, address: str) -> str:
    """The text of elements that were compared with a template, in a data set or item that reaches to ``limit``."""
    texts = list[str]()
    for text, slot, element in filled:
        texts.append(text)
        if slot is not None and element is not None:
            encoding, character_set, signed, _, depth, keeps_digits = slot.context
            uri = address + slot.address
            context = new_element(Context, (encoding, character_set, signed, uri, depth, keeps_digits))
            texts.append(write_member_of(data_set, element, limit, context))
    return "".join(texts)


def update_context(data_set: DataSet, element: Element, context: Context) -> Context:
    """What is known behind an element of ``CONTEXT_TAGS``."""
    if element.tag == CHARACTER_SET:
        value = bytes(data_set.data[element.value : element.stop])
        return context._replace(character_set=value.decode("latin-1").strip("\0 "))
    return context._replace(signed=data_set.read_signed(element))


# --- one element


def write_member_of(data_set: DataSet, element: Element, end: int, context: Context) -> str:
    """The member of an element in a data set or item that reaches to ``end``; empty for what is left out."""
    start, stop = element.start, element.end
    if stop - start >= _longest_key(context) or start in data_set.cuts:
        return _write_value(data_set, element, end, context)
    key, texts = bytes(data_set.data[start:stop]), _texts.of(context)
    text = texts.get(key)
    if text is None:
        text = _write_value(data_set, element, end, context)
        if not depends_on_later(element.tag, element.vr, context):
            _texts.keep(texts, key, text)
    return text


def _write_value(data_set: DataSet, element: Element, end: int, context: Context) -> str:
    tag, start, stop = element.tag, element.value, element.stop
    if is_group_length(tag) or tag in _LEFT_OUT:
        return ""
    vr = element.vr
    if vr == "" or vr == "UN":
        vr = data_set.resolve_vr(element, context.signed, end)
    if element.start in data_set.cuts:
        return write_bulk(tag, "UN" if vr == "SQ" else vr, context)
    if is_sequence(element, vr):
        found = _draft_sequence(data_set, element, Place(context, False)) if context.depth < MAX_DEPTH else None
        return write_bulk(tag, "UN", context) if found is None else found.text()
    if element.undefined_length or tag in PIXEL_TAGS:
        return write_bulk(tag, vr, context)
    if start == stop:
        return write_member(tag, vr)
    if vr in _BULK:
        return write_bulk(tag, vr, context)
    if context.encoding.order == ">" and not element.is_big_endian:
        context = context._replace(encoding=IMPLICIT_LE)
    value = bytes(data_set.data[start:stop])
    if vr in OCTETS:
        return write_octets(value, tag, vr, context)
    return (write_numbers if vr in NUMBERS else write_texts)(value, tag, vr, context)
