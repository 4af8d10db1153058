"""DICOM JSON out of a header (PS3.18 Annex F), without a library between: this is what retrieving metadata costs.

Most elements of a series are the same bytes in every instance, so their texts are remembered by those bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby, pairwise
from struct import Struct, unpack_from
from typing import Any, NamedTuple

from gantry.dicom.dictionary import vr_of
from gantry.dicom.elements import LONG_VRS, PIXEL_TAGS, SHORT_VRS
from gantry.dicom.json_values import (
    NUMBERS,
    OCTETS,
    Context,
    binary_numbers,
    broken,
    bulk,
    member,
    octets,
    text_values,
)
from gantry.dicom.skeleton import Skeleton
from gantry.errors import InvalidArgument

_MAX_DEPTH = 150
_FIRST = 0x00030000
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET, _PIXEL_REPRESENTATION, _PADDING = 0x00080005, 0x00280103, 0xFFFCFFFC
_LEFT_OUT = frozenset((0x00020001, _PADDING))
_BULK = frozenset(("OB", "OW", "UN"))
_PLACEHOLDERS = frozenset((b"  ", b"--", b"??"))
_BULK_MEMBER = '"BulkDataURI"'
_LONGEST_KEY, _MOST_REMEMBERED = 256, 20_000
_remembered: dict[tuple[str, bool, int], dict[bytes, str]] = {}


class _Written(NamedTuple):
    """A top-level element and its member, which is empty for what is left out; ``context`` is that before it."""

    tag: int
    text: str
    start: int
    stop: int
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

    def write(self, skeleton: Skeleton, bulk_uri: str) -> str:
        """Raises InvalidArgument."""
        members = self._as_expected(skeleton, bulk_uri) if self._runs else None
        if members is None:
            members = self._in_full(skeleton, bulk_uri)
        meta = (written.text for written in _meta(skeleton))
        return f"{{{','.join(filter(None, chain(meta, members)))}}}"

    def _as_expected(self, skeleton: Skeleton, bulk_uri: str) -> list[str] | None:
        body, at, cuts, members = skeleton.body, 0, dict(skeleton.cuts), []
        for raw, text, tag, context in self._runs:
            if raw:
                if not body.startswith(raw, at):
                    return None
                members.append(text)
                at += len(raw)
            else:
                context = context._replace(bulk_uri=bulk_uri)
                written = next(_elements(body, at, len(body), context, cuts, None), None)
                if written is None or written.tag != tag:
                    return None
                members.append(written.text)
                at = written.stop
        return members if at == len(body) else None

    def _in_full(self, skeleton: Skeleton, bulk_uri: str) -> list[str]:
        every = list(_members(skeleton, bulk_uri))
        body, cuts = skeleton.body, dict(skeleton.cuts)
        raws = [(item.tag, body[item.start : item.stop]) for item in every]
        self._runs = []
        in_order = all(one.tag < other.tag for one, other in pairwise(every))
        if in_order and [tag for tag, _ in raws] == [tag for tag, _ in self._last]:
            same = (raw == before and item.start not in cuts and _BULK_MEMBER not in item.text
                    for item, (_, raw), (_, before) in zip(every, raws, self._last, strict=True))  # fmt: skip
            self._runs = _merged(every, [raw for _, raw in raws], list(same))
        self._last = raws
        if in_order:
            return [item.text for item in every]
        return [text for _, text in sorted({item.tag: item.text for item in reversed(every)}.items())]


def _merged(every: Sequence[_Written], raws: Sequence[bytes], same: Sequence[bool]) -> list[_Run]:
    runs: list[_Run] = []
    for is_same, group in groupby(zip(every, raws, same, strict=True), key=lambda each: each[2]):
        items = list(group)
        if is_same:
            text = ",".join(item.text for item, _, _ in items if item.text)
            runs.append(_Run(b"".join(raw for _, raw, _ in items), text, 0, items[0][0].context))
        else:
            runs.extend(_Run(b"", "", item.tag, item.context) for item, _, _ in items)
    return runs


def fragments(skeleton: Skeleton, wanted: frozenset[int], bulk_uri: str = "") -> dict[int, str]:
    """Tag → member of the JSON object, of those top-level elements ``wanted`` that are there."""
    found: dict[int, str] = {}
    meta = _meta(skeleton) if any(tag < _FIRST for tag in wanted) else ()
    for written in chain(meta, _members(skeleton, bulk_uri, wanted)):
        if written.text and written.tag in wanted:
            found.setdefault(written.tag, written.text)
    return found


def _meta(skeleton: Skeleton) -> Iterator[_Written]:
    context = Context(True, "<", "", -1, "")
    return _elements(skeleton.meta, 0, len(skeleton.meta), context, {}, None)


def _members(skeleton: Skeleton, bulk_uri: str, wanted: frozenset[int] | None = None) -> Iterator[_Written]:
    order = "<" if skeleton.little else ">"
    context = Context(skeleton.explicit, order, "", -1, bulk_uri)
    return _elements(skeleton.body, 0, len(skeleton.body), context, dict(skeleton.cuts), wanted)


def _elements(
    data: bytes,
    at: int,
    end: int,
    context: Context,
    cuts: dict[int, int],
    wanted: frozenset[int] | None,
) -> Iterator[_Written]:
    """Each element between two places, until an item ends."""
    head, length_of = Struct(context.order + "HH2sH").unpack_from, Struct(context.order + "I").unpack_from
    remembered = _memory(context)
    while at + 8 <= end:
        group, element, vr, length = head(data, at)
        tag, start = group << 16 | element, at + 8
        name = ""
        if not context.explicit or vr in _PLACEHOLDERS or group == 0xFFFE:
            if not context.explicit or group == 0xFFFE:
                (length,) = length_of(data, at + 4)
        elif vr in SHORT_VRS:
            name = vr.decode()
        elif vr in LONG_VRS:
            if at + 12 > end:
                raise broken(tag)
            name, start, (length,) = vr.decode(), at + 12, length_of(data, at + 8)
        else:
            name, start, length = _odd(data, at, end, vr, length, length_of)
        if group == 0xFFFE:
            return
        if at in cuts:
            if wanted is None or tag in wanted:
                yield _Written(tag, _cut(tag, name, context), at, start, context)
            at = start
            continue
        before = context
        if length == _UNDEFINED:
            text, stop = _undefined(data, start, end, tag, name, context)
        elif wanted is not None and tag not in wanted:
            text, stop = "", start + length
        else:
            stop = start + length
            if stop > end:
                raise broken(tag)
            key = data[at:stop] if length < _LONGEST_KEY else b""
            text = remembered.get(key, "") if key else ""
            if not text:
                text = _defined(data, start, stop, tag, name, context)
                if key and text and _BULK_MEMBER not in text:
                    remembered[key] = text
        if tag == _CHARACTER_SET:
            context = context._replace(character_set=_ascii(data[start:stop]))
            remembered = _memory(context)
        elif tag == _PIXEL_REPRESENTATION and stop - start == 2:
            signed = unpack_from(context.order + "H", data, start)[0] & 1
            context = context._replace(signed=signed)
            remembered = _memory(context)
        if wanted is None or tag in wanted:
            yield _Written(tag, text, at, stop, before)
        at = stop


def _memory(context: Context) -> dict[bytes, str]:
    key = (context.character_set, context.explicit, context.signed + (10 if context.order == ">" else 0))
    found = _remembered.setdefault(key, {})
    if len(found) > _MOST_REMEMBERED or len(_remembered) > 100:
        _remembered.clear()
        found = _remembered.setdefault(key, {})
    return found


def _ascii(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def _odd(data: bytes, at: int, end: int, vr: bytes, short: int, length_of: Any) -> tuple[str, int, int]:
    """No VR that anybody knows: implicit form where there are no letters, else as ``part10`` reads it."""
    if not (vr.isalpha() and vr.isupper()):
        return "", at + 8, length_of(data, at + 4)[0]
    if short or at + 12 > end:
        return "UN", at + 8, short
    following = data[at + 12 : at + 14]
    if at + 8 == end or following in SHORT_VRS or following in LONG_VRS or data[at + 8 : at + 10] == b"\xfe\xff":
        return "UN", at + 8, 0
    return "UN", at + 12, length_of(data, at + 8)[0]


# --- one element


def _is_left_out(tag: int) -> bool:
    return not tag & 0xFFFF or tag in _LEFT_OUT


def _vr(tag: int, name: str, context: Context) -> str:
    """The VR as written, else that of the dictionary, decided where it leaves a choice (PS3.5 §A.1)."""
    if name and name != "UN":
        return name
    # Public elements that somebody wrote as UN hold what an implicit encoding would hold (PS3.5 §6.2.2).
    found = vr_of(tag) if not name or not tag >> 16 & 1 else "UN"
    if len(found) == 2:
        return found
    if "OW" in found:
        return "OW"
    return "SS" if context.signed == 1 else "US"


def _cut(tag: int, name: str, context: Context) -> str:
    vr = _vr(tag, name, context)
    return "" if vr == "SQ" or _is_left_out(tag) else bulk(tag, vr, context)


def _undefined(data: bytes, start: int, end: int, tag: int, name: str, context: Context) -> tuple[str, int]:
    """A sequence, or fragments; the member, and where the element ends."""
    vr = _vr(tag, name, context)
    if name in ("OB", "OW") or tag in PIXEL_TAGS:
        return bulk(tag, vr, context), _after_items(data, start, end, tag, context)
    inner = context
    if name in ("", "UN") and context.explicit:
        inner = context._replace(explicit=False, order="<")
    if vr == "UN":
        return bulk(tag, "UN", context), _after_items(data, start, end, tag, inner)
    items, stop = _items(data, start, end, tag, inner)
    return _sequence(tag, items), stop


def _sequence(tag: int, items: Sequence[str]) -> str:
    if _is_left_out(tag):
        return ""
    return member(tag, "SQ", f',"Value":[{",".join(items)}]' if items else "")


def _items(data: bytes, at: int, end: int, tag: int, context: Context) -> tuple[list[str], int]:
    """The items of a sequence up to its delimiter or to ``end``, as JSON objects; and where it ended."""
    if context.depth >= _MAX_DEPTH:
        raise InvalidArgument(f"sequences are nested deeper than {_MAX_DEPTH} levels")
    head = Struct(context.order + "HHI").unpack_from
    items: list[str] = []
    while at + 8 <= end:
        group, element, length = head(data, at)
        mark = group << 16 | element
        at += 8
        if mark == _SEQUENCE_END:
            return items, at
        if mark != _ITEM:
            raise broken(tag)
        uri = f"{context.bulk_uri}/{tag:08X}/{len(items)}" if context.bulk_uri else ""
        inner = context._replace(bulk_uri=uri, depth=context.depth + 1)
        stop = _item_end(data, at, end, tag, inner) if length == _UNDEFINED else at + length
        if stop > end:
            raise broken(tag)
        found = {written.tag: written.text for written in _elements(data, at, stop, inner, {}, None) if written.text}
        items.append(f"{{{','.join(text for _, text in sorted(found.items()))}}}")
        at = stop + 8 if length == _UNDEFINED else stop
    return items, at


def _after_items(data: bytes, at: int, end: int, tag: int, context: Context) -> int:
    head = Struct(context.order + "HHI").unpack_from
    while at + 8 <= end:
        group, element, length = head(data, at)
        mark = group << 16 | element
        at += 8
        if mark == _SEQUENCE_END:
            return at
        if mark != _ITEM:
            raise broken(tag)
        at = _item_end(data, at, end, tag, context) + 8 if length == _UNDEFINED else at + length
    raise broken(tag)


def _item_end(data: bytes, at: int, end: int, tag: int, context: Context) -> int:
    """Where the delimiter of an item of undefined length stands."""
    if context.depth >= _MAX_DEPTH:
        raise InvalidArgument(f"sequences are nested deeper than {_MAX_DEPTH} levels")
    head, length_of = Struct(context.order + "HH2sH").unpack_from, Struct(context.order + "I").unpack_from
    deeper = context._replace(depth=context.depth + 1)
    while at + 8 <= end:
        group, element, vr, length = head(data, at)
        if (group, element) == (0xFFFE, 0xE00D):
            return at
        name, start = "", at + 8
        if not context.explicit:
            (length,) = length_of(data, at + 4)
        elif vr in LONG_VRS and at + 12 <= end:
            name, start, (length,) = vr.decode(), at + 12, length_of(data, at + 8)
        elif vr not in SHORT_VRS and vr not in _PLACEHOLDERS:
            name, start, length = _odd(data, at, end, vr, length, length_of)
        if length == _UNDEFINED:
            implicit = context.explicit and name in ("", "UN")
            inner = deeper._replace(explicit=False, order="<") if implicit else deeper
            at = _after_items(data, start, end, group << 16 | element, inner)
        else:
            at = start + length
    raise broken(tag)


def _defined(data: bytes, start: int, stop: int, tag: int, name: str, context: Context) -> str:
    if _is_left_out(tag):
        return ""
    vr = _vr(tag, name, context)
    if vr == "SQ":
        inner = context
        if name in ("", "UN") and context.explicit:
            inner = context._replace(explicit=False, order="<")
        return _sequence(tag, _items(data, start, stop, tag, inner)[0])
    if start == stop:
        return member(tag, vr)
    if vr in _BULK or tag in PIXEL_TAGS:
        return bulk(tag, vr, context)
    value = data[start:stop]
    if vr in OCTETS:
        return octets(value, tag, vr, context)
    if vr in NUMBERS:
        return binary_numbers(value, tag, vr, context)
    return text_values(value, tag, vr, context)
