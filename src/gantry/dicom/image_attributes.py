"""The one border to pydicom's reader: the attributes that describe pixels, as a dataset of pydicom.

It is given what our own reader has told apart, in little endian and with VRs that exist, and what it makes of that must
have the same tags. No exception and no warning of the library leaves.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pydicom.config
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset

from gantry.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet, Element
from gantry.dicom.rewriting import is_as_wanted, rewrite_element
from gantry.dicom.tags import PIXEL_TAGS
from gantry.dicom.traversal import Scope
from gantry.errors import FailedPrecondition, InvalidArgument

logger = logging.getLogger(__name__)

# Once, and not around each call: what catches warnings for a while does so for all threads. Files of other people are
# not this library's to complain of.
warnings.filterwarnings("ignore", module=r"pydicom\.")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_GROUPS = frozenset((0x0028, 0x2050, 0x5200, 0x7FE0))
_OVERLAY_BITS = frozenset((0x0100, 0x0102))


def is_needed(tag: int) -> bool:
    """What rendering and transcoding look at: image pixel and look-up tables, functional groups, overlays, offsets."""
    group = tag >> 16
    return (group in _GROUPS and tag not in PIXEL_TAGS) or (group & 0xFFE1 == 0x6000 and tag & 0xFFFF in _OVERLAY_BITS)


def attribute_bytes(data_set: DataSet, element: Element, scope: Scope) -> bytes:
    """An element in the form that pydicom is given; nothing for one that cannot be put into it."""
    target = IMPLICIT_LE if data_set.encoding is IMPLICIT_LE else EXPLICIT_LE
    if is_as_wanted(data_set, element, target):
        return bytes(data_set.data[element.start : element.end])
    try:
        return b"".join(rewrite_element(data_set, element, scope, target))
    except FailedPrecondition:
        return b""


def parse_attributes(pieces: Iterable[tuple[int, bytes]], data_set: DataSet) -> Any:
    """Tags and elements, as ``attribute_bytes`` gives them, parsed. Raises InvalidArgument."""
    pieces = [piece for piece in pieces if piece[1]]
    try:
        found = read_dataset(BytesIO(b"".join(data for _, data in pieces)), data_set.encoding is IMPLICIT_LE, True)
    except Exception:
        logger.warning("pydicom cannot read the attributes of an image", exc_info=True)
        found = None
    if found is None or set(map(int, found.keys())) != {tag for tag, _ in pieces}:
        raise InvalidArgument("the attributes that describe the pixels cannot be read")
    return found


def read_value(ds: Any, key: str | int) -> Any:
    """The value of an attribute, by keyword or tag. None where it is absent or its bytes are no whole number of values:
    what only adds to a picture must not cost it."""
    try:
        return ds[key].value if key in ds else None
    except BytesLengthException:
        return None
