"""An instance with other attributes (PS3.18 §10.5.3; spec §10.2.11): the file of a patched DICOM JSON object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gantry.dicom.buffers import Readable
from gantry.dicom.bulk import find_element, parse_bulk_path
from gantry.dicom.elements import DataSet
from gantry.dicom.file_meta import write_meta
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_elements import (
    Attributes,
    BulkValue,
    ElementEncoder,
    by_tag,
    character_set_of,
    name_of,
    to_json,
)
from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import InstanceIdentity
from gantry.dicom.tags import CHARACTER_SET, IDENTITY, PIXEL_TAGS, is_group_length
from gantry.dicom.value_forms import Unwritable
from gantry.dicom.vr import TEXT
from gantry.dicom.walk import Cut
from gantry.errors import DataLoss, FailedPrecondition, InvalidArgument
from gantry.json_text import parse_json

_PIECE = 1 << 20
_ASCII = ("", "ISO_IR 6")


def rebuild(
    opened: Readable, header: InstanceIdentity, header_bytes: HeaderBytes, bulk_uri: str, attributes: Any
) -> Iterator[bytes]:
    """The chunks of a new file: ``attributes`` instead of ``dicom_json(header_bytes, bulk_uri)``, the rest as it was.

    ``opened`` stays open until the last chunk. Elements that are the same are copied as bytes, and so is what the
    metadata does not show; bulk values in sequences may move with their items. Raises, before the first chunk,
    InvalidArgument for what must not change (UIDs, meta group, pixels, bulk values) and for a BulkDataURI of nothing;
    FailedPrecondition where the file is big endian or deflated, or only a tolerant reader finds its elements.
    """
    layout, data_set = header.layout, header_bytes.data_set()
    if layout.deflated or not layout.little:
        raise FailedPrecondition("its metadata cannot be patched, as its dataset is deflated or big endian")
    elements = [element for element in data_set.elements() if not is_group_length(element.tag)]
    places = dict(zip((position for position, _ in header_bytes.cuts), layout.cuts, strict=True))
    try:
        before = parse_json(dicom_json(header_bytes, bulk_uri))
        hidden = frozenset(tag for tag, *_ in elements if f"{tag:08X}" not in before)
        changed, gone = _find_changes(before, attributes, hidden)
        anew = changed | _list_converted(before, changed, gone, hidden)
        every = list(_walk_elements(before, bulk_uri))
        bulk = {
            place: str(element["vr"])
            for place, element in every
            if "BulkDataURI" in element and "/" in place[len(bulk_uri) + 1 :]
        }
        known = frozenset(to_json(element) for _, element in every)
        find = _make_bulk_finder(data_set, bulk_uri, bulk)
        encoder = ElementEncoder(not header_bytes.explicit, _find_character_set(before, changed, gone), known, find)
        pieces: list[tuple[int, bytes | Cut]] = [(tag, encoder.encode({tag: anew[tag]})) for tag in anew]
        _require_same_bulk(bulk, list(_walk_elements({f"{tag:08X}": anew[tag] for tag in anew}, bulk_uri)))
    except RecursionError:
        raise InvalidArgument("the attributes are nested too deep") from None
    left_out = anew.keys() | gone
    pieces += [
        (element.tag, places.get(element.start) or header_bytes.body[element.start : element.end])
        for element in elements
        if element.tag not in left_out
    ]
    pieces.sort(key=lambda piece: piece[0])
    meta = write_meta(header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid, header_bytes.meta)
    return _stream(opened, meta, pieces)


def _walk_elements(attributes: Mapping[str, Any], address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All elements, those of items too, each with the address that its bulk data would have there."""
    for key, element in attributes.items():
        place = f"{address}/{key.upper()}"
        yield place, element
        if element["vr"] == "SQ":
            for number, item in enumerate(element.get("Value", ())):
                yield from _walk_elements(item, f"{place}/{number}")


def _find_changes(before: dict[str, Any], attributes: Any, hidden: frozenset[int]) -> tuple[Attributes, frozenset[int]]:
    """The elements that are new or other ones, and the tags of those that are no more. Raises InvalidArgument."""
    if not isinstance(attributes, dict) or len({key.upper() for key in attributes}) < len(attributes):
        raise InvalidArgument("the attributes are no JSON object, or one is there in upper and in lower case")
    changed = by_tag(
        {key: value for key, value in attributes.items() if key not in before or to_json(value) != to_json(before[key])}
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


def _find_character_set(before: dict[str, Any], changed: Attributes, gone: frozenset[int]) -> str:
    element = changed.get(CHARACTER_SET, before.get(f"{CHARACTER_SET:08X}"))
    return "" if CHARACTER_SET in gone else character_set_of(element)


def _list_converted(
    before: dict[str, Any], changed: Attributes, gone: frozenset[int], hidden: frozenset[int]
) -> Attributes:
    """Elements with text that stay the same, but not as bytes. Raises InvalidArgument for what cannot be converted."""
    old = character_set_of(before.get(f"{CHARACTER_SET:08X}"))
    if old == _find_character_set(before, changed, gone):
        return {}
    found = {}
    for key, element in before.items():
        tag, vr = int(key, 16), element["vr"]
        if (vr in TEXT or vr == "SQ") and tag >> 16 != 2 and tag not in changed and tag not in gone:
            found[tag] = element
    for tag in (*found, *hidden):
        text = to_json(found.get(tag, {"BulkDataURI": ""}))
        is_bulk = '"BulkDataURI"' in text and found.get(tag, {}).get("vr") != "SQ"
        if "\\ufffd" in text or (is_bulk and old not in _ASCII):
            raise InvalidArgument(f"{name_of(CHARACTER_SET)} cannot be patched: {name_of(tag)} cannot be converted")
    return {tag: element for tag, element in found.items() if "BulkDataURI" not in element}


def _make_bulk_finder(data_set: DataSet, bulk_uri: str, bulk: dict[str, str]) -> Callable[[Any, int, str], BulkValue]:
    """Finds bulk values in items; ``bulk`` are their VRs by address. Raises Unwritable or FailedPrecondition."""

    def find(uri: Any, tag: int, vr: str) -> BulkValue:
        if not isinstance(uri, str) or bulk.get(uri) != vr or not uri.endswith(f"/{tag:08X}"):
            raise Unwritable("its BulkDataURI is that of no such bulk data in a sequence of this instance")
        element, _ = find_element(data_set, parse_bulk_path(uri[len(bulk_uri) :]))
        if vr == "UN" and element.vr == "SQ":
            raise FailedPrecondition(f"{uri[-200:]} cannot be copied: its items cannot be told apart")
        return BulkValue(bytes(data_set.data[element.value : element.stop]), element.undefined_length)

    return find


def _require_same_bulk(bulk: dict[str, str], now: list[tuple[str, dict[str, Any]]]) -> None:
    """No other value where bulk data stood, unless that has moved. Raises InvalidArgument."""
    used = {element["BulkDataURI"] for _, element in now if "BulkDataURI" in element}
    for place, element in now:
        if place in bulk and place not in used and "BulkDataURI" not in element:
            raise InvalidArgument(f"{place[-100:]} cannot be patched: bulk data stays as it is, or is removed")


def _stream(opened: Readable, meta: bytes, pieces: Iterable[tuple[int, bytes | Cut]]) -> Iterator[bytes]:
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
