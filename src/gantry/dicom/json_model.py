"""DICOM JSON out of a header (PS3.18 Annex F), without a library between: this is what retrieving metadata costs.

Most elements of a series are the same bytes in every instance, and so are most sequences of the frames of one, so their
texts are remembered by those bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby, pairwise
from typing import NamedTuple

from gantry.dicom.elements import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    MAX_DEPTH,
    DataSet,
    Element,
    Encoding,
    Item,
    is_sequence,
    new_element,
)
from gantry.dicom.json_values import (
    Context,
    write_bulk,
    write_member,
    write_numbers,
    write_octets,
    write_texts,
)
from gantry.dicom.skeleton import Skeleton
from gantry.dicom.tags import (
    CHARACTER_SET,
    META_VERSION,
    PIXEL_REPRESENTATION,
    PIXEL_TAGS,
    TRAILING_PADDING,
    is_group_length,
)
from gantry.dicom.vr import NUMBERS, OCTETS
from gantry.errors import InvalidArgument

_FIRST = 0x00030000
_LEFT_OUT = frozenset((META_VERSION, TRAILING_PADDING))
_BULK = frozenset(("OB", "OW", "UN"))
_BULK_MEMBER = '"BulkDataURI"'
_CONTEXT_TAGS = frozenset((CHARACTER_SET, PIXEL_REPRESENTATION))
"""What the texts of later elements depend on."""

_KEPT_VALUE, _KEPT_SEQUENCE, _MOST_HELD = 256, 2048, 32 << 20
_LEAST_LEVEL = 16
"""Bytes of a level of sequences: the heads of an element and of an item."""


class _Texts:
    """Members that were made before, by what they depend on and their bytes. Too many are forgotten."""

    def __init__(self) -> None:
        self._by_context: dict[tuple[object, ...], dict[bytes, str]] = {}
        self._held = 0

    def of(self, context: Context) -> dict[bytes, str]:
        key = (context.encoding, context.character_set, context.signed, bool(context.bulk_uri))
        return self._by_context.setdefault(key, {})

    def keep(self, texts: dict[bytes, str], key: bytes, text: str) -> None:
        """What is kept twice at a time, by two threads, is counted twice: that is no harm."""
        texts[key] = text
        self._held += len(key) + len(text) + _KEPT_VALUE
        if self._held > _MOST_HELD:
            self._by_context, self._held = {}, 0


_texts = _Texts()


class _Member(NamedTuple):
    """A top-level element and its member, which is empty for what is left out; the context before it."""

    element: Element
    text: str
    context: Context


class _Run(NamedTuple):
    """Elements that were the same bytes in two headers; or, without ``raw``, one that is to be written anew."""

    raw: bytes
    text: str
    tag: int
    context: Context


def dicom_json(skeleton: Skeleton, bulk_uri: str) -> str:
    """All elements as one JSON object, bulk data by address below ``bulk_uri`` (§F.2.2). Raises InvalidArgument."""
    return JsonWriter().write(skeleton, bulk_uri)


class JsonWriter:
    """``dicom_json`` for headers that are much alike, as those of a series are.

    What was the same in the last two headers is expected in the next one, and compared in a few pieces instead of
    element by element. A header that is otherwise is written in full, and is what later ones are compared with.
    """

    def __init__(self) -> None:
        self._last: list[tuple[int, bytes]] = []
        self._runs: list[_Run] = []
        self._encoding: Encoding | None = None

    def write(self, skeleton: Skeleton, bulk_uri: str) -> str:
        """Raises InvalidArgument."""
        members = self._write_expected(skeleton, bulk_uri) if self._runs else None
        if members is None:
            members = self._write_in_full(skeleton, bulk_uri)
        meta = (member.text for member in _read_meta(skeleton, bulk_uri))
        return f"{{{','.join(filter(None, chain(meta, members)))}}}"

    def _write_expected(self, skeleton: Skeleton, bulk_uri: str) -> list[str] | None:
        if skeleton.encoding is not self._encoding:
            return None
        data_set, body, at, members = skeleton.data_set(), skeleton.body, 0, []
        for raw, text, tag, context in self._runs:
            if raw:
                if not body.startswith(raw, at):
                    return None
                members.append(text)
                at += len(raw)
                continue
            if at + 8 > len(body):
                return None
            element = data_set.read_element(at, len(body), skeleton.encoding)
            if element.tag != tag:
                return None
            members.append(_write_value(data_set, element, len(body), context._replace(bulk_uri=bulk_uri)))
            at = element.end
        return members if at == len(body) else None

    def _write_in_full(self, skeleton: Skeleton, bulk_uri: str) -> list[str]:
        every = list(_read_members(skeleton, bulk_uri))
        body = skeleton.body
        raws = [(element.tag, body[element.start : element.end]) for element, _, _ in every]
        in_order = all(one.element.tag < other.element.tag for one, other in pairwise(every))
        is_alike = in_order and skeleton.encoding is self._encoding and _are_alike(raws, self._last)
        self._runs = _merge(every, raws, self._last, skeleton) if is_alike else []
        self._last, self._encoding = raws, skeleton.encoding
        if in_order:
            return [member.text for member in every]
        return [text for _, text in sorted({item.element.tag: item.text for item in reversed(every)}.items())]


def _are_alike(raws: Sequence[tuple[int, bytes]], last: Sequence[tuple[int, bytes]]) -> bool:
    """The same tags, and the same bytes in those that say how to read the others."""
    return len(raws) == len(last) and all(
        one[0] == other[0] and (one[0] not in _CONTEXT_TAGS or one[1] == other[1])
        for one, other in zip(raws, last, strict=True)
    )


def _merge(
    every: Sequence[_Member], raws: Sequence[tuple[int, bytes]], last: Sequence[tuple[int, bytes]], skeleton: Skeleton
) -> list[_Run]:
    cuts = dict(skeleton.cuts)
    same = [
        one == other and member.element.start not in cuts and _BULK_MEMBER not in member.text
        for member, one, other in zip(every, raws, last, strict=True)
    ]
    runs: list[_Run] = []
    for is_same, group in groupby(zip(every, same, strict=True), key=lambda pair: pair[1]):
        members = [member for member, _ in group]
        if is_same:
            text = ",".join(member.text for member in members if member.text)
            raw = skeleton.body[members[0].element.start : members[-1].element.end]
            runs.append(_Run(raw, text, 0, members[0].context))
        else:
            runs.extend(_Run(b"", "", member.element.tag, member.context) for member in members)
    return runs


def fragments(skeleton: Skeleton, wanted: frozenset[int], bulk_uri: str = "") -> dict[int, str]:
    """Tag → member of the JSON object, of those top-level elements ``wanted`` that are there.

    Without ``bulk_uri`` bulk data is left out: it has no address. Raises InvalidArgument.
    """
    found: dict[int, str] = {}
    meta = _read_meta(skeleton, bulk_uri, wanted) if any(tag < _FIRST for tag in wanted) else ()
    for member in chain(meta, _read_members(skeleton, bulk_uri, wanted)):
        if member.text:
            found.setdefault(member.element.tag, member.text)
    return found


def _read_meta(skeleton: Skeleton, bulk_uri: str, wanted: frozenset[int] | None = None) -> Iterator[_Member]:
    return _write_members(skeleton.meta_elements(), Context(EXPLICIT_LE, "", -1, bulk_uri), wanted)


def _read_members(skeleton: Skeleton, bulk_uri: str, wanted: frozenset[int] | None = None) -> Iterator[_Member]:
    return _write_members(skeleton.data_set(), Context(skeleton.encoding, "", -1, bulk_uri), wanted)


def _write_members(data_set: DataSet, context: Context, wanted: frozenset[int] | None) -> Iterator[_Member]:
    """The top level, element by element: all, or those ``wanted``."""
    end = len(data_set.data)
    texts = _texts.of(context)
    for element in data_set.elements():
        tag = element.tag
        if wanted is None or tag in wanted:
            text = _write_element(data_set, element, end, context, texts)
            yield new_element(_Member, (element, text, context))
        if tag in _CONTEXT_TAGS:
            context = _updated(data_set, element, context)
            texts = _texts.of(context)


def _updated(data_set: DataSet, element: Element, context: Context) -> Context:
    if element.tag == CHARACTER_SET:
        value = bytes(data_set.data[element.value : element.stop])
        return context._replace(character_set=value.decode("latin-1").strip("\0 "))
    return context._replace(signed=data_set.read_signed(element))


# --- one element


def _write_element(data_set: DataSet, element: Element, end: int, context: Context, texts: dict[bytes, str]) -> str:
    """The member of an element in a data set or item that reaches to ``end``; empty for what is left out."""
    start, stop = element.start, element.end
    if stop - start >= _longest_kept(context.depth) or start in data_set.cuts:
        return _write_value(data_set, element, end, context)
    key = bytes(data_set.data[start:stop])
    text = texts.get(key)
    if text is None:
        text = _write_value(data_set, element, end, context)
        if _BULK_MEMBER not in text:
            _texts.keep(texts, key, text)
    return text


def _longest_kept(depth: int) -> int:
    """Bytes of an element that may come again, and in which nothing can be too deep that elsewhere is not."""
    levels = MAX_DEPTH - depth
    if levels > _KEPT_SEQUENCE // _LEAST_LEVEL:
        return _KEPT_SEQUENCE
    return _KEPT_VALUE if levels > _KEPT_VALUE // _LEAST_LEVEL else 0


def _write_value(data_set: DataSet, element: Element, end: int, context: Context) -> str:
    tag, start, stop = element.tag, element.value, element.stop
    if is_group_length(tag) or tag in _LEFT_OUT:
        return ""
    vr = element.vr
    if vr == "" or vr == "UN":
        vr = data_set.resolve_vr(element, context.signed, end)
    if element.start in data_set.cuts:
        return "" if vr == "SQ" else write_bulk(tag, vr, context)
    if is_sequence(element, vr):
        try:
            return _write_sequence(data_set, element, context)
        except InvalidArgument:
            return write_bulk(tag, "UN", context)  # nobody can tell its items apart, but its bytes are there
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


def _write_sequence(data_set: DataSet, element: Element, context: Context) -> str:
    """Raises InvalidArgument for what is broken inside, or nested too deep."""
    if context.depth >= MAX_DEPTH:
        raise InvalidArgument(f"sequences are nested deeper than {MAX_DEPTH} levels")
    tag, uri = element.tag, context.bulk_uri
    inner = context._replace(encoding=element.inner, depth=context.depth + 1)
    items = []
    for number, item in enumerate(data_set.read_items(element)):
        address = f"{uri}/{tag:08X}/{number}" if uri else ""
        items.append(_write_item(data_set, item, element.stop, inner._replace(bulk_uri=address)))
    return write_member(tag, "SQ", f',"Value":[{",".join(items)}]' if items else "")


def _write_item(data_set: DataSet, item: Item, end: int, context: Context) -> str:
    """The first of two elements with the same tag counts, as at the top level."""
    found: dict[int, str] = {}
    texts, last, in_order = _texts.of(context), -1, True
    for element in item.elements():
        tag = element.tag
        in_order = in_order and tag > last
        last = tag
        if tag not in found:
            found[tag] = _write_element(data_set, element, end, context, texts)
        if tag in _CONTEXT_TAGS:
            context = _updated(data_set, element, context)
            texts = _texts.of(context)
    members = found.values() if in_order else (text for _, text in sorted(found.items()))
    return f"{{{','.join(filter(None, members))}}}"
