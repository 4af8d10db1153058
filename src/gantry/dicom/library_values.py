"""The one border to pydicom's reader: values of attributes that describe pixels. No warning of the library leaves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pydicom.config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag

from gantry.dicom.elements import Encoding, read_head
from gantry.dicom.tags import UNDEFINED

# Once, and not around each call: what catches warnings for a while does so for all threads. Files of other people are
# not this library's to complain of.
warnings.filterwarnings("ignore", module=r"pydicom\.")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def make_dataset(pieces: Mapping[int, bytes], encoding: Encoding) -> Dataset:
    """A dataset of pydicom, of elements by tag; it reads a value when it is asked for one."""
    found: dict[BaseTag, DataElement | RawDataElement] = {}
    for tag, data in pieces.items():
        _, vr, at, length = read_head(data, 0, len(data), encoding)
        value = data[at:] if length != UNDEFINED else data[at:-8]
        key = BaseTag(tag)
        found[key] = RawDataElement(key, vr or None, len(value), value, 0, not encoding.explicit, True)
    return Dataset(found)


def read_value(ds: Any, keyword: str) -> Any:
    """The value of an attribute. None where it is absent or its bytes are no whole number of values: what only adds to
    a picture must not cost it."""
    try:
        return ds.get(keyword)
    except BytesLengthException:
        return None
