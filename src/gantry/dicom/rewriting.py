"""A Part 10 file from an instance and a few new elements (PS3.10 §7.1, PS3.5 §A).

From little endian to explicit little endian all other elements are copied as bytes. What has to be encoded anew goes
through pydicom, and is written as pydicom read it.
"""

from __future__ import annotations

import warnings
import zlib
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gantry import __version__
from gantry.dicom import forms
from gantry.dicom.image_source import PIXEL_DATA, Source
from gantry.dicom.layout import Buffer, explicit_header, meta_elements
from gantry.errors import InvalidArgument

IMPLEMENTATION_CLASS_UID = "2.25.219453712948820171736193825048512763204"
IMPLEMENTATION_VERSION_NAME = f"GANTRY_{__version__}"[:16]
_UNDEFINED = 0xFFFFFFFF
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_WORD_SIZES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
_GROUP_LENGTH, _VERSION, _SYNTAX, _CLASS_UID, _VERSION_NAME = 0x20000, 0x20001, 0x20010, 0x20012, 0x20013

Changes = dict[int, DataElement | None]
"""Tag → the element that takes its place at the top level; None removes it."""


def written(source: Source, changes: Changes, transfer_syntax_uid: str) -> bytes:
    if source.elements is not None and source.explicit and transfer_syntax_uid != forms.IMPLICIT_LE:
        body = _spliced(source, changes)
    else:
        body = _encoded_anew(source, changes, transfer_syntax_uid == forms.IMPLICIT_LE)
    if transfer_syntax_uid == forms.DEFLATED_LE:
        deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = deflater.compress(body) + deflater.flush()
        body += b"\0" * (len(body) % 2)
    return bytes(128) + b"DICM" + _meta_group(source, transfer_syntax_uid) + body


def _meta_group(source: Source, transfer_syntax_uid: str) -> bytes:
    """The meta group as it was, but for the encoding and who wrote it."""
    new = {
        _VERSION: explicit_header(_VERSION, "OB", 2) + b"\0\1",
        _SYNTAX: _text(_SYNTAX, "UI", transfer_syntax_uid, "\0"),
        _CLASS_UID: _text(_CLASS_UID, "UI", IMPLEMENTATION_CLASS_UID, "\0"),
        _VERSION_NAME: _text(_VERSION_NAME, "SH", IMPLEMENTATION_VERSION_NAME, " "),
    }
    for element in meta_elements(source.data):
        if element.tag != _GROUP_LENGTH:
            new.setdefault(element.tag, source.data[element.start : element.end])
    group = b"".join(new[tag] for tag in sorted(new))
    return explicit_header(_GROUP_LENGTH, "UL", 4) + len(group).to_bytes(4, "little") + group


def _text(tag: int, vr: str, value: str, padding: str) -> bytes:
    value += padding * (len(value) % 2)
    return explicit_header(tag, vr, len(value)) + value.encode()


def _spliced(source: Source, changes: Changes) -> bytes:
    """Group lengths go, as they may be wrong now; they are retired (PS3.5 §7.2)."""
    body = source.body
    kept: list[tuple[int, Buffer]] = [
        (element.tag, body[element.start : element.end])
        for element in source.elements or ()
        if element.tag not in changes and element.tag & 0xFFFF
    ]
    kept += [(tag, _explicit_bytes(element)) for tag, element in changes.items() if element is not None]
    return b"".join(data for _, data in sorted(kept, key=lambda pair: pair[0]))


def _explicit_bytes(element: DataElement) -> bytes:
    if element.tag == PIXEL_DATA:
        undefined = element.is_undefined_length
        header = explicit_header(PIXEL_DATA, element.VR, _UNDEFINED if undefined else len(element.value))
        return header + bytes(element.value) + (_SEQUENCE_END if undefined else b"")
    ds = Dataset()
    ds.add(element)
    return _pydicom_bytes(ds, False)


def _encoded_anew(source: Source, changes: Changes, implicit: bool) -> bytes:
    ds = source.whole_dataset()
    for tag in changes:
        if tag in ds:
            del ds[tag]
    if not source.little_endian:
        _swap_words(ds)
    for element in changes.values():
        if element is not None:
            ds.add(element)
    return _pydicom_bytes(ds, implicit)


def _pydicom_bytes(ds: Any, implicit: bool) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = implicit, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(out, ds)
    return bytes(out.getvalue())


def _swap_words(ds: Any) -> None:
    """Words that pydicom keeps as bytes: big endian becomes little (PS3.5 §7.3)."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                _swap_words(item)
        elif isinstance(element.value, bytes) and (size := _word_size(ds, element)) > 1:
            if len(element.value) % size:
                raise InvalidArgument(f"{element.tag} is no whole number of {size}-byte words")
            element.value = _swapped(element.value, size)


def _swapped(value: bytes, size: int) -> bytes:
    """Words of ``size`` bytes in the other byte order."""
    swapped = bytearray(len(value))
    for place in range(size):
        swapped[place::size] = value[size - 1 - place :: size]
    return bytes(swapped)


def _word_size(ds: Any, element: DataElement) -> int:
    size = _WORD_SIZES.get(str(element.VR), 1)
    if element.tag == PIXEL_DATA and size == 2:
        return max(2, int(ds.get("BitsAllocated") or 16) // 8)
    return size
