"""The one border to pydicom's reader: the attributes that describe pixels, as a dataset of pydicom.

It is given the elements that our own reader has told apart, in little endian and with VRs that exist. No warning of the
library leaves.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import pydicom.config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag

from gantry.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet, Element, read_head
from gantry.dicom.rewriting import is_as_wanted, rewrite_element
from gantry.dicom.tags import PIXEL_TAGS, UNDEFINED
from gantry.dicom.traversal import Scope
from gantry.errors import FailedPrecondition

# Once, and not around each call: what catches warnings for a while does so for all threads. Files of other people are
# not this library's to complain of.
warnings.filterwarnings("ignore", module=r"pydicom\.")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_GROUPS = frozenset((0x0028, 0x2050, 0x5200, 0x7FE0))
FIRST_NEEDED = min(_GROUPS) << 16
"""No element before this tag is."""

_OVERLAY_BITS = frozenset((0x0100, 0x0102))


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


def parse_attributes(pieces: Iterable[tuple[int, bytes]], data_set: DataSet) -> Dataset:
    """Tags and elements, as ``extract_attribute`` gives them, as a dataset that reads a value when it is asked for one;
    of those with the same tag the first."""
    encoding = IMPLICIT_LE if data_set.encoding is IMPLICIT_LE else EXPLICIT_LE
    found: dict[BaseTag, DataElement | RawDataElement] = {}
    for tag, data in pieces:
        if data and tag not in found:
            _, vr, at, length = read_head(data, 0, len(data), encoding)
            value = data[at:] if length != UNDEFINED else data[at:-8]
            key = BaseTag(tag)
            found[key] = RawDataElement(key, vr or None, len(value), value, 0, not encoding.explicit, True)
    return Dataset(found)


def read_value(ds: Any, key: str | int) -> Any:
    """The value of an attribute, by keyword or tag. None where it is absent or its bytes are no whole number of values:
    what only adds to a picture must not cost it."""
    try:
        return ds[key].value if key in ds else None
    except BytesLengthException:
        return None
