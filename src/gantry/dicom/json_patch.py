"""Changing the metadata of an instance (spec §10.2.11): JSON Patch, and the file of the patched DICOM JSON.

``patched`` knows nothing of DICOM: RFC 6902 on JSON values, addressed by the pointers of RFC 6901.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gantry.dicom.bulk import parse_bulk_path, without_cuts
from gantry.dicom.elements import PIXEL_TAGS, Cut
from gantry.dicom.from_json import (
    ASCII,
    CHARACTER_SET,
    DECODED,
    GROUP_LENGTH,
    IDENTITY,
    SYNTAX,
    UNDEFINED,
    Attributes,
    How,
    OldBulk,
    by_tag,
    character_set_of,
    json_of,
    meta_group,
    name_of,
    new_meta,
    written,
)
from gantry.dicom.image_source import parsed
from gantry.dicom.json_model import dicom_json
from gantry.dicom.layout import Readable, meta_elements, top_level
from gantry.dicom.part10 import Header
from gantry.dicom.skeleton import Skeleton
from gantry.errors import DataLoss, FailedPrecondition, InvalidArgument

MAX_OPERATIONS = 10_000
MAX_TOKENS = 1000
MAX_DEPTH = 600
MAX_COPIED = 64 << 20
"""Characters of JSON that operations may add or copy: a copy of the whole into itself doubles it."""

_PIECE = 1 << 20
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_NEEDED = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
_Path = list[str]


class _Wrong(Exception):
    """What is wrong with an operation; its number and path come in front."""


def patched(document: Any, patch: Any) -> Any:
    """A new document; both arguments stay as they are. All operations or none (RFC 6902 §5).

    Both are what ``json.loads`` gives. Raises InvalidArgument, which names the operation by its number, from 1, and
    path; also for more than MAX_OPERATIONS, and for a document that nests deeper than MAX_DEPTH.
    """
    work = _Work(document)
    _each(patch, work.apply)
    _require_shallow(work.root)
    return work.root


def require_patch(patch: Any) -> None:
    """Raises InvalidArgument for what cannot be applied to any document."""
    _each(patch, _read)


def _each(patch: Any, apply: Callable[[Any], object]) -> None:
    if not isinstance(patch, list):
        raise InvalidArgument("a JSON Patch is an array of operations (RFC 6902 §3)")
    if len(patch) > MAX_OPERATIONS:
        raise InvalidArgument(f"the JSON Patch has {len(patch)} operations; up to {MAX_OPERATIONS} are taken")
    for number, operation in enumerate(patch, 1):
        try:
            apply(operation)
        except _Wrong as error:
            raise InvalidArgument(f"operation {number} of the JSON Patch{_what(operation)}: {error}") from None
        except RecursionError:
            raise InvalidArgument(f"operation {number} of the JSON Patch{_what(operation)}: nested too deep") from None


def _read(operation: Any) -> tuple[str, _Path, _Path]:
    """``op``, ``path`` and ``from`` of an operation."""
    if not isinstance(operation, dict):
        raise _Wrong("is no JSON object")
    op = operation.get("op")
    if not isinstance(op, str) or op not in _NEEDED:
        raise _Wrong(f"op is none of {', '.join(_NEEDED)}")
    for member in _NEEDED[op]:
        if member not in operation:
            raise _Wrong(f"has no {member!r}")
    source = _pointer(operation["from"], "from") if "from" in _NEEDED[op] else []
    return op, _pointer(operation.get("path"), "path"), source


def _what(operation: Any) -> str:
    if not isinstance(operation, dict):
        return ""
    names = (operation.get(key) for key in ("op", "path"))
    return "".join(f" {name[:200]!r}" for name in names if isinstance(name, str))


class _Work:
    """The document while it is changed; nothing in it is shared with the arguments, or with another place in it."""

    def __init__(self, document: Any) -> None:
        try:
            self.root = json.loads(json.dumps(document))
        except RecursionError:
            raise InvalidArgument("the document is nested too deep to be patched") from None
        self.left = MAX_COPIED

    def apply(self, operation: Any) -> None:
        op, path, source = _read(operation)
        if op in ("move", "copy"):
            self._transfer(source, path, op == "move")
        elif op == "add":
            self._add(path, self._copy(operation["value"]))
        elif op == "remove":
            self._remove(path)
        elif op == "replace":
            self._replace(path, self._copy(operation["value"]))
        elif not _same(self._get(path), operation["value"]):
            raise _Wrong("the value there is another one")

    def _copy(self, value: Any) -> Any:
        text = json.dumps(value)
        self.left -= len(text)
        if self.left < 0:
            raise _Wrong(f"the operations add more than {MAX_COPIED} characters")
        return json.loads(text)

    def _transfer(self, source: _Path, path: _Path, move: bool) -> None:
        if not move:
            self._add(path, self._copy(self._get(source)))
        elif source == path:
            self._get(source)
        elif path[: len(source)] == source:
            raise _Wrong("moves a value into itself (RFC 6902 §4.4)")
        else:
            value = self._get(source)
            self._remove(source)
            self._add(path, value)

    def _get(self, path: _Path) -> Any:
        found = self.root
        for token in path:
            found = found[_place(found, token)]
        return found

    def _add(self, path: _Path, value: Any) -> None:
        if not path:
            self.root = value
            return
        parent, token = self._get(path[:-1]), path[-1]
        if isinstance(parent, list):
            parent.insert(len(parent) if token == "-" else _index(token, len(parent)), value)  # noqa: S105
        elif isinstance(parent, dict):
            parent[token] = value
        else:
            raise _Wrong(f"what {token[:100]!r} is to be added to is neither object nor array")

    def _remove(self, path: _Path) -> None:
        if not path:
            raise _Wrong("the whole document cannot be removed")
        parent = self._get(path[:-1])
        del parent[_place(parent, path[-1])]

    def _replace(self, path: _Path, value: Any) -> None:
        if not path:
            self.root = value
            return
        parent = self._get(path[:-1])
        parent[_place(parent, path[-1])] = value


def _pointer(text: Any, name: str) -> _Path:
    """The reference tokens, unescaped: ``~1`` first, so that ``~01`` becomes ``~1`` (RFC 6901 §4)."""
    if not isinstance(text, str):
        raise _Wrong(f"{name} is no string")
    if text and not text.startswith("/"):
        raise _Wrong(f"{name} {text[:200]!r} does not begin with / (RFC 6901 §3)")
    if _BAD_ESCAPE.search(text):
        raise _Wrong(f"{name} {text[:200]!r} has a ~ that neither 0 nor 1 follows (RFC 6901 §3)")
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]
    if len(tokens) > MAX_TOKENS:
        raise _Wrong(f"{name} has {len(tokens)} tokens; up to {MAX_TOKENS} are taken")
    return tokens


def _place(parent: Any, token: str) -> Any:
    """The key of a member that exists, or the index of an element that does."""
    if isinstance(parent, list):
        return _index(token, len(parent) - 1)
    if not isinstance(parent, dict) or token not in parent:
        raise _Wrong(f"there is no {token[:100]!r}")
    return token


def _index(token: str, last: int) -> int:
    if not _INDEX.fullmatch(token):
        raise _Wrong(f"{token[:100]!r} is no index of an element that exists (RFC 6901 §4)")
    if int(token) > last:
        raise _Wrong(f"there is no element {token}")
    return int(token)


def _same(one: Any, other: Any) -> bool:
    """Equal as RFC 6902 §4.6 has it: 1 is 1.0 but not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _require_shallow(root: Any) -> None:
    """Whoever works on the document next may call himself for each level."""
    level = [root]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, (dict, list)):
                below.extend(value.values() if isinstance(value, dict) else value)
        if not below:
            return
        level = below
    raise InvalidArgument(f"the patched document is nested deeper than {MAX_DEPTH} levels")


# --- an instance with other attributes


def rebuilt(opened: Readable, header: Header, skeleton: Skeleton, bulk_uri: str, attributes: Any) -> Iterator[bytes]:
    """The chunks of a new file: ``attributes`` instead of ``dicom_json(skeleton, bulk_uri)``, the rest as it was.

    ``opened`` stays open until the last chunk. Elements that are the same are copied as bytes, and so is what the
    metadata does not show; bulk values in sequences may move with their items. Raises, before the first chunk,
    InvalidArgument for what must not change (UIDs, meta group, pixels, bulk values) and for a BulkDataURI of nothing;
    FailedPrecondition where the file is big endian or deflated, or only a tolerant reader finds its elements.
    """
    layout, body = header.layout, without_cuts(skeleton)
    if layout.deflated or not layout.little:
        raise FailedPrecondition("its metadata cannot be patched, as its dataset is deflated or big endian")
    elements = top_level(body, skeleton.explicit)
    if elements is None:
        raise FailedPrecondition("its metadata cannot be patched, as its elements have an unusual form")
    cuts = [(_tag_at(opened, cut.start), cut) for cut in layout.cuts]
    try:
        before = json.loads(dicom_json(skeleton, bulk_uri))
        hidden = frozenset(tag for tag, _ in cuts if f"{tag:08X}" not in before)
        changed, gone = _changes(before, attributes, hidden)
        anew = changed | _in_new_character_set(before, changed, gone, hidden)
        every = list(_every(before, bulk_uri))
        bulk = {
            place: str(element["vr"])
            for place, element in every
            if "BulkDataURI" in element and "/" in place[len(bulk_uri) + 1 :]
        }
        known = frozenset(json_of(element) for _, element in every)
        find = _old_values(body, skeleton.explicit, bulk_uri, bulk)
        how = How(not skeleton.explicit, _new_character_set(before, changed, gone), known, find)
        pieces: list[tuple[int, bytes | Cut]] = [(tag, written({tag: anew[tag]}, how)) for tag in anew]
        _require_same_bulk(bulk, list(_every({f"{tag:08X}": anew[tag] for tag in anew}, bulk_uri)))
    except RecursionError:
        raise InvalidArgument("the attributes are nested too deep") from None
    except ValueError as error:  # a number of thousands of digits
        raise FailedPrecondition(f"its metadata cannot be patched: {str(error)[:200]}") from None
    left_out = anew.keys() | gone
    plain = [(element.tag, body[element.start : element.end]) for element in elements if element.tag & 0xFFFF]
    pieces += [piece for piece in plain if piece[0] not in left_out]
    pieces += [piece for piece in cuts if piece[0] not in left_out]
    pieces.sort(key=lambda piece: piece[0])
    return _streamed(opened, _old_meta(header, skeleton), pieces)


def _tag_at(opened: Readable, start: int) -> int:
    head = opened.read_at(start, 4)
    return int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:], "little")


def _every(attributes: Mapping[str, Any], address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All elements, those of items too, each with the address that its bulk data would have there."""
    for key, element in attributes.items():
        place = f"{address}/{key.upper()}"
        yield place, element
        if element["vr"] == "SQ":
            for number, item in enumerate(element.get("Value", ())):
                yield from _every(item, f"{place}/{number}")


def _changes(before: dict[str, Any], attributes: Any, hidden: frozenset[int]) -> tuple[Attributes, frozenset[int]]:
    """The elements that are new or other ones, and the tags of those that are no more. Raises InvalidArgument."""
    if not isinstance(attributes, dict) or len({key.upper() for key in attributes}) < len(attributes):
        raise InvalidArgument("the attributes are no JSON object, or one is there in upper and in lower case")
    changed = by_tag(
        {key: value for key, value in attributes.items() if key not in before or json_of(value) != json_of(before[key])}
    )
    gone = frozenset(int(key, 16) for key in before if key not in attributes) - changed.keys()
    for tag in sorted(changed.keys() | gone):
        if tag >> 16 == 2 or tag in IDENTITY or tag in PIXEL_TAGS:
            raise InvalidArgument(f"{name_of(tag)} cannot be patched: UIDs, pixels and group 0002 stay as they are")
        if tag in hidden:
            raise InvalidArgument(f"{name_of(tag)} cannot be patched: it is there, but too long for the metadata")
        if tag in changed and ("BulkDataURI" in changed[tag] or "BulkDataURI" in before.get(f"{tag:08X}", ())):
            raise InvalidArgument(f"{name_of(tag)} cannot be patched: bulk data stays as it is, or is removed")
    return changed, gone


def _new_character_set(before: dict[str, Any], changed: Attributes, gone: frozenset[int]) -> str:
    element = changed.get(CHARACTER_SET, before.get(f"{CHARACTER_SET:08X}"))
    return "" if CHARACTER_SET in gone else character_set_of(element)


def _in_new_character_set(
    before: dict[str, Any], changed: Attributes, gone: frozenset[int], hidden: frozenset[int]
) -> Attributes:
    """Elements with text that stay the same, but not as bytes. Raises InvalidArgument for what cannot be converted."""
    old = character_set_of(before.get(f"{CHARACTER_SET:08X}"))
    if old == _new_character_set(before, changed, gone):
        return {}
    found = {}
    for key, element in before.items():
        tag, vr = int(key, 16), element["vr"]
        if (vr in DECODED or vr == "SQ") and tag >> 16 != 2 and tag not in changed and tag not in gone:
            found[tag] = element
    for tag in (*found, *hidden):
        text = json_of(found.get(tag, {"BulkDataURI": ""}))
        if "\\ufffd" in text or ('"BulkDataURI"' in text and found.get(tag, {}).get("vr") != "SQ" and old not in ASCII):
            raise InvalidArgument(f"{name_of(CHARACTER_SET)} cannot be patched: {name_of(tag)} cannot be converted")
    return {tag: element for tag, element in found.items() if "BulkDataURI" not in element}


def _old_values(body: bytes, explicit: bool, bulk_uri: str, bulk: dict[str, str]) -> Callable[[Any, int, str], OldBulk]:
    """Finds bulk values in items; ``bulk`` are their VRs by address. Raises ValueError or FailedPrecondition."""
    parsed_once: list[Any] = []

    def find(uri: Any, tag: int, vr: str) -> OldBulk:
        if not isinstance(uri, str) or bulk.get(uri) != vr or not uri.endswith(f"/{tag:08X}"):
            raise ValueError("its BulkDataURI is that of no such bulk data in a sequence of this instance")
        path = parse_bulk_path(uri[len(bulk_uri) :])
        try:
            ds = parsed_once[0] if parsed_once else parsed(body, explicit, True)
            parsed_once[:] = [ds]
            for sequence, number in zip(path[:-1:2], path[1::2], strict=True):
                ds = ds[sequence].value[number]
            raw = ds.get_item(path[-1])
            return OldBulk(bytes(raw.value or b""), raw.length == UNDEFINED)
        except Exception:  # pydicom's are many
            raise FailedPrecondition(f"the bulk data {uri[-200:]} cannot be copied") from None

    return find


def _require_same_bulk(bulk: dict[str, str], now: list[tuple[str, dict[str, Any]]]) -> None:
    """No other value where bulk data stood, unless that has moved. Raises InvalidArgument."""
    used = {element["BulkDataURI"] for _, element in now if "BulkDataURI" in element}
    for place, element in now:
        if place in bulk and place not in used and "BulkDataURI" not in element:
            raise InvalidArgument(f"{place[-100:]} cannot be patched: bulk data stays as it is, or is removed")


def _old_meta(header: Header, skeleton: Skeleton) -> bytes:
    data = bytes(128) + b"DICM" + skeleton.meta
    elements = {item.tag: data[item.start : item.end] for item in meta_elements(data) if item.tag != GROUP_LENGTH}
    if SYNTAX in elements:
        return meta_group(elements)
    return new_meta(header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid)


def _streamed(opened: Readable, meta: bytes, pieces: Iterable[tuple[int, bytes | Cut]]) -> Iterator[bytes]:
    held = [meta]
    for _, piece in pieces:
        if isinstance(piece, bytes):
            held.append(piece)
            continue
        yield b"".join(held)
        held, at, end = [], piece.start, piece.start + piece.header + piece.length
        while at < end:
            chunk = opened.read_at(at, min(_PIECE, end - at))
            if not chunk:
                raise DataLoss(f"the old file ends at byte {at}, in the middle of a value")
            at += len(chunk)
            yield chunk
    yield b"".join(held)
