"""DICOM JSON out of a header (PS3.18 Annex F), without a library between: this is what retrieving metadata costs.

Most elements of a series are the same bytes in every instance, so their texts are remembered by those bytes.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, pairwise
from math import isfinite
from struct import Struct, unpack_from
from struct import error as StructError
from typing import Any, NamedTuple

from gantry.dicom.dictionary import vr_of
from gantry.dicom.elements import LONG_VRS, PIXEL_TAGS, SHORT_VRS
from gantry.dicom.skeleton import Skeleton
from gantry.dicom.text import Decode, decoders
from gantry.errors import InvalidArgument

MAX_INLINE_BYTES, MAX_INLINE_VALUES = 2048, 512
_MAX_DEPTH = 150
_FIRST = 0x00030000
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET, _PIXEL_REPRESENTATION, _PADDING = 0x00080005, 0x00280103, 0xFFFCFFFC
_LEFT_OUT = frozenset((0x00020001, _PADDING))
_BULK = frozenset(("OB", "OW", "UN"))
_BYTES = {"OD": 8, "OF": 4, "OL": 4, "OV": 8}
_NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q", "AT": "H"}
_SIZES = {"FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8, "AT": 4}
_ONE_TEXT = frozenset(("LT", "ST", "UR", "UT"))
_DECODED = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
_PLACEHOLDERS = frozenset((b"  ", b"--", b"??"))
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_BULK_MEMBER = '"BulkDataURI"'
_LONGEST_KEY, _MOST_REMEMBERED = 256, 20_000
_remembered: dict[tuple[str, bool, int], dict[bytes, str]] = {}
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class _Context(NamedTuple):
    """What the text of an element depends on, besides its bytes. ``signed`` is PixelRepresentation or, unknown, -1."""

    explicit: bool
    order: str
    character_set: str
    signed: int
    bulk_uri: str
    depth: int = 0


class _Written(NamedTuple):
    """A top-level element and its member, which is empty for what is left out; ``context`` is that before it."""

    tag: int
    text: str
    start: int
    stop: int
    context: _Context


class _Run(NamedTuple):
    """Elements that were the same bytes in two headers; or, without ``raw``, one that is to be written anew."""

    raw: bytes
    text: str
    tag: int
    context: _Context


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
    context = _Context(True, "<", "", -1, "")
    return _elements(skeleton.meta, 0, len(skeleton.meta), context, {}, None)


def _members(skeleton: Skeleton, bulk_uri: str, wanted: frozenset[int] | None = None) -> Iterator[_Written]:
    order = "<" if skeleton.little else ">"
    context = _Context(skeleton.explicit, order, "", -1, bulk_uri)
    return _elements(skeleton.body, 0, len(skeleton.body), context, dict(skeleton.cuts), wanted)


def _elements(
    data: bytes,
    at: int,
    end: int,
    context: _Context,
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
                raise _broken(tag)
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
                raise _broken(tag)
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


def _memory(context: _Context) -> dict[bytes, str]:
    key = (context.character_set, context.explicit, context.signed + (10 if context.order == ">" else 0))
    found = _remembered.setdefault(key, {})
    if len(found) > _MOST_REMEMBERED or len(_remembered) > 100:
        _remembered.clear()
        found = _remembered.setdefault(key, {})
    return found


def _broken(tag: int) -> InvalidArgument:
    return InvalidArgument(f"the header ends inside ({tag >> 16:04X},{tag & 0xFFFF:04X})")


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


def _member(tag: int, vr: str, rest: str = "") -> str:
    return f'"{tag:08X}":{{"vr":"{vr}"{rest}}}'


def _bulk(tag: int, vr: str, context: _Context) -> str:
    return _member(tag, vr, f',"BulkDataURI":{_dumps(f"{context.bulk_uri}/{tag:08X}")}')


def _is_left_out(tag: int) -> bool:
    return not tag & 0xFFFF or tag in _LEFT_OUT


def _vr(tag: int, name: str, context: _Context) -> str:
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


def _cut(tag: int, name: str, context: _Context) -> str:
    vr = _vr(tag, name, context)
    return "" if vr == "SQ" or _is_left_out(tag) else _bulk(tag, vr, context)


def _undefined(data: bytes, start: int, end: int, tag: int, name: str, context: _Context) -> tuple[str, int]:
    """A sequence, or fragments; the member, and where the element ends."""
    vr = _vr(tag, name, context)
    if name in ("OB", "OW") or tag in PIXEL_TAGS:
        return _bulk(tag, vr, context), _after_items(data, start, end, tag, context)
    inner = context
    if name in ("", "UN") and context.explicit:
        inner = context._replace(explicit=False, order="<")
    if vr == "UN":
        return _bulk(tag, "UN", context), _after_items(data, start, end, tag, inner)
    items, stop = _items(data, start, end, tag, inner)
    return _sequence(tag, items), stop


def _sequence(tag: int, items: Sequence[str]) -> str:
    if _is_left_out(tag):
        return ""
    return _member(tag, "SQ", f',"Value":[{",".join(items)}]' if items else "")


def _items(data: bytes, at: int, end: int, tag: int, context: _Context) -> tuple[list[str], int]:
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
            raise _broken(tag)
        uri = f"{context.bulk_uri}/{tag:08X}/{len(items)}" if context.bulk_uri else ""
        inner = context._replace(bulk_uri=uri, depth=context.depth + 1)
        stop = _item_end(data, at, end, tag, inner) if length == _UNDEFINED else at + length
        if stop > end:
            raise _broken(tag)
        found = {written.tag: written.text for written in _elements(data, at, stop, inner, {}, None) if written.text}
        items.append(f"{{{','.join(text for _, text in sorted(found.items()))}}}")
        at = stop + 8 if length == _UNDEFINED else stop
    return items, at


def _after_items(data: bytes, at: int, end: int, tag: int, context: _Context) -> int:
    head = Struct(context.order + "HHI").unpack_from
    while at + 8 <= end:
        group, element, length = head(data, at)
        mark = group << 16 | element
        at += 8
        if mark == _SEQUENCE_END:
            return at
        if mark != _ITEM:
            raise _broken(tag)
        at = _item_end(data, at, end, tag, context) + 8 if length == _UNDEFINED else at + length
    raise _broken(tag)


def _item_end(data: bytes, at: int, end: int, tag: int, context: _Context) -> int:
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
    raise _broken(tag)


def _defined(data: bytes, start: int, stop: int, tag: int, name: str, context: _Context) -> str:
    if _is_left_out(tag):
        return ""
    vr = _vr(tag, name, context)
    if vr == "SQ":
        inner = context
        if name in ("", "UN") and context.explicit:
            inner = context._replace(explicit=False, order="<")
        return _sequence(tag, _items(data, start, stop, tag, inner)[0])
    if start == stop:
        return _member(tag, vr)
    if vr in _BULK or tag in PIXEL_TAGS:
        return _bulk(tag, vr, context)
    value = data[start:stop]
    if vr in _BYTES:
        return _octets(value, tag, vr, context)
    if vr in _NUMBERS:
        return _binary_numbers(value, tag, vr, context)
    return _text(value, tag, vr, context)


def _octets(value: bytes, tag: int, vr: str, context: _Context) -> str:
    if len(value) > MAX_INLINE_BYTES:
        return _bulk(tag, vr, context)
    if context.order == ">":
        size = _BYTES[vr]
        value = b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))
    return _member(tag, vr, f',"InlineBinary":"{b64encode(value).decode()}"')


def _binary_numbers(value: bytes, tag: int, vr: str, context: _Context) -> str:
    size = _SIZES[vr]
    count = len(value) // size
    if len(value) % size:
        return _member(tag, vr) if not count else _bulk(tag, vr, context)
    if count > MAX_INLINE_VALUES:
        return _bulk(tag, vr, context)
    try:
        numbers = unpack_from(f"{context.order}{count * (2 if vr == 'AT' else 1)}{_NUMBERS[vr]}", value)
    except StructError:
        raise _broken(tag) from None
    if vr == "AT":
        texts = [f'"{group:04X}{element:04X}"' for group, element in zip(numbers[::2], numbers[1::2], strict=True)]
    elif vr in ("FD", "FL"):
        texts = [repr(number) if isfinite(number) else _not_finite(number) for number in numbers]
    else:
        texts = [str(number) for number in numbers]
    return _member(tag, vr, f',"Value":[{",".join(texts)}]')


def _not_finite(number: float) -> str:
    return '"NaN"' if number != number else '"Infinity"' if number > 0 else '"-Infinity"'


def _ascii(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def _text(value: bytes, tag: int, vr: str, context: _Context) -> str:
    of_text, of_names = decoders(context.character_set)
    if vr == "PN":
        return _names(value, tag, of_names)
    text = of_text(value) if vr in _DECODED else value.decode("latin-1")
    text = text.rstrip("\0 ")
    if vr in _ONE_TEXT:
        values = [text if vr != "UR" else text.strip()]
    else:
        strip = str.rstrip if vr == "UC" else str.strip
        values = [strip(part, "\0 ") for part in text.split("\\")]
    if not any(values):
        return (
            _member(tag, vr) if len(values) == 1 else _member(tag, vr, f',"Value":[{",".join(["null"] * len(values))}]')
        )
    write = _number if vr in ("DS", "IS") else _dumps
    return _member(tag, vr, f',"Value":[{",".join(write(part) if part else "null" for part in values)}]')


def _number(text: str) -> str:
    """As written where JSON allows it; what is no number stays text (§F.2.3)."""
    if _JSON_NUMBER.fullmatch(text):
        return text
    try:
        number = float(text)
    except ValueError:
        return _dumps(text)
    if not isfinite(number) or "_" in text or not text.isascii():
        return _dumps(text)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _names(value: bytes, tag: int, decode: Decode) -> str:
    names = []
    for part in decode(value).rstrip("\0 ").split("\\"):
        groups = zip(_GROUPS, (group.strip("\0 ") for group in part.split("=")), strict=False)
        members = ",".join(f'"{group}":{_dumps(text)}' for group, text in groups if text)
        names.append(f"{{{members}}}" if members else "null")
    if names == ["null"]:
        return _member(tag, "PN")
    return _member(tag, "PN", f',"Value":[{",".join(names)}]')
