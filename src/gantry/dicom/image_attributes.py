"""The attributes that describe pixels.

Most of them are one number or one word, which are read here, as pydicom takes a hundred times as long. All others are
for pydicom to read (`gantry.dicom.library_values`): it is given the elements that our own reader has told apart, in
little endian and with VRs that exist.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gantry.dicom.dictionary import tag_of, vr_of
from gantry.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet, Element, Encoding
from gantry.dicom.rewriting import is_as_wanted, rewrite_element
from gantry.dicom.tags import OFFSET_TABLE, OFFSET_TABLE_LENGTHS, PIXEL_TAGS, format_tag
from gantry.dicom.traversal import Scope
from gantry.dicom.walk import Watch
from gantry.errors import FailedPrecondition, Internal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_GROUPS = frozenset((0x0028, 0x2050, 0x5200, 0x7FE0))
NEEDED = range(min(_GROUPS) << 16, 1 << 32)
"""The tags among which those are that ``is_needed`` names."""

_COLOURS = ("Red", "Green", "Blue")
_FOR_PICTURES = (
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleIntercept", "RescaleSlope", "ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth"),
    *("VOILUTFunction", "PresentationLUTShape"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *(f"{colour}PaletteColorLookupTable{part}" for colour in _COLOURS for part in ("Descriptor", "Data")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _COLOURS),
)
"""All that is asked for by those who decode and paint frames."""

_OVERLAY_BITS = frozenset((0x0100, 0x0102))

_WORD = re.compile(rb"[ -\[\]-~]*[!-\[\]-~]")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,9}")
_DECIMALS = re.compile(rb"[+-]?[0-9]{1,15}(?:\.[0-9]{0,15})?(?:\\[+-]?[0-9]{1,15}(?:\.[0-9]{0,15})?)*")
"""Values of CS, IS and DS that need no more than to be taken as they stand (PS3.5 §6.2). There are others."""


def is_needed(tag: int) -> bool:
    """What rendering and transcoding look at: image pixel and look-up tables, functional groups, overlays, offsets."""
    group = tag >> 16
    return (group in _GROUPS and tag not in PIXEL_TAGS) or (group & 0xFFE1 == 0x6000 and tag & 0xFFFF in _OVERLAY_BITS)


def extract_attribute(data_set: DataSet, element: Element, scope: Scope) -> bytes:
    """An element in the form that pydicom is given; nothing for one that cannot be put into it."""
    target = IMPLICIT_LE if data_set.encoding is IMPLICIT_LE else EXPLICIT_LE
    if is_as_wanted(data_set, element, target):
        return bytes(data_set.data[element.start : element.end])
    try:
        return b"".join(rewrite_element(data_set, element, scope, target))
    except FailedPrecondition:
        return b""


class Attributes:
    """Attributes of a data set by keyword or tag, with the methods and the values of pydicom's ``Dataset``, whose
    numbers and lists are plain ones here."""

    def __init__(self, pieces: dict[int, bytes], encoding: Encoding, known: Container[int] = NEEDED) -> None:
        """``pieces`` are elements by tag, all those of ``known`` that the data set has."""
        self._pieces, self._encoding, self._known = pieces, encoding, known

    @cached_property
    def _dataset(self) -> Dataset:
        from gantry.dicom.library_values import make_dataset  # few pictures need it, and it takes long to import

        return make_dataset(self._pieces, self._encoding)

    def get(self, key: str | int, default: Any = None) -> Any:
        """The value for a keyword, the element for a tag."""
        if not isinstance(key, str):
            return self._dataset.get(key, default) if key in self else default
        tag = _tag_of(key)
        data = self._pieces.get(tag)
        if data is None:
            self._require_known(tag)
            return default
        vr = data[4:6].decode("latin-1") if self._encoding.explicit else vr_of(tag)
        value = read_simple_value(vr, data[8:])
        return self._dataset.get(key, default) if value is None else value

    def get_item(self, key: str | int) -> Any:
        """The element, as raw as it is by now."""
        return self._dataset.get_item(key) if key in self else None

    def __contains__(self, key: str | int) -> bool:
        tag = _tag_of(key) if isinstance(key, str) else key
        if tag in self._pieces:
            return True
        self._require_known(tag)
        return False

    def _require_known(self, tag: int) -> None:
        """That an attribute is absent may only be said where it was looked for. Raises Internal."""
        if tag not in self._known:
            raise Internal(f"{format_tag(tag)} was not read; this is a mistake of the server")

    def __getitem__(self, key: str | int) -> Any:
        """The element. Raises KeyError."""
        return self._dataset[key]


def _tag_of(keyword: str) -> int:
    tag = tag_of(keyword)
    assert tag is not None  # noqa: S101 - keywords are written in this program
    return tag


def read_simple_value(vr: str, value: bytes) -> Any:
    """One number or one word, or the decimal numbers of a DS; None for what somebody has to look at more closely."""
    if vr in ("US", "SS"):
        return int.from_bytes(value, "little", signed=vr == "SS") if len(value) == 2 else None
    if vr not in ("CS", "DS", "IS"):
        return None
    text = value.rstrip(b" \0")
    if vr == "CS":
        return text.decode("ascii") if _WORD.fullmatch(text) else None
    text = text.lstrip(b" ")
    if vr == "IS":
        return int(text) if _INTEGER.fullmatch(text) else None
    if not _DECIMALS.fullmatch(text):
        return None
    return [float(part) for part in text.split(b"\\")] if b"\\" in text else float(text)


def parse_attributes(pieces: Iterable[tuple[int, bytes]], data_set: DataSet) -> Attributes:
    """From tags and elements, as ``extract_attribute`` gives them; of those with the same tag the first."""
    found: dict[int, bytes] = {}
    for tag, data in pieces:
        if data:
            found.setdefault(tag, data)
    return Attributes(found, IMPLICIT_LE if data_set.encoding is IMPLICIT_LE else EXPLICIT_LE)


def _watch_pictures() -> Watch:
    return Watch.of(frozenset((OFFSET_TABLE, OFFSET_TABLE_LENGTHS, *map(_tag_of, _FOR_PICTURES))))


PICTURES = _watch_pictures()
"""What ``part10.read_watched`` is to keep for ``Attributes`` that decode and paint frames."""
