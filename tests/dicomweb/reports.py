"""Structured reports and encapsulated documents for tests, written by pydicom."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicomweb.instances import instance

UIDS = ("1.2.7", "1.2.7.1", "1.2.7.1.1")
ENHANCED_SR, KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.59"
PDF, CDA, STL, OBJ, MTL = (f"1.2.840.10008.5.1.4.1.1.104.{number}" for number in range(1, 6))
_NO_PIXELS = dict.fromkeys(
    (
        *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored"),
        *("HighBit", "PixelRepresentation"),
    )
)


def without_pixels(uids: tuple[str, str, str], charset: str = "ISO_IR 192", **values: Any) -> bytes:
    return instance(uids, charset=charset, PixelData=b"", **(_NO_PIXELS | values))


def code(meaning: str, value: str = "1", scheme: str = "99T") -> Sequence:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return Sequence([ds])


def content(kind: str, name: str = "", relationship: str = "CONTAINS", *below: Dataset, **values: Any) -> Dataset:
    """A content item with the items ``below`` it, and attributes by keyword."""
    ds = Dataset()
    ds.ValueType, ds.RelationshipType = kind, relationship
    if name:
        ds.ConceptNameCodeSequence = code(name)
    if below:
        ds.ContentSequence = Sequence(below)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def report(*items: Dataset, uids: tuple[str, str, str] = UIDS, title: str = "Chest report", **values: Any) -> bytes:
    known = {"SOPClassUID": ENHANCED_SR, "Modality": "SR", "ConceptNameCodeSequence": code(title)}
    return without_pixels(uids, **(known | {"ContentSequence": Sequence(items), "ValueType": "CONTAINER"} | values))


def document(data: bytes, media_type: str, sop_class: str = PDF, **values: Any) -> bytes:
    known = {"SOPClassUID": sop_class, "Modality": "DOC", "EncapsulatedDocument": data + b"\0" * (len(data) % 2)}
    if media_type:
        known["MIMETypeOfEncapsulatedDocument"] = media_type
    both = known | values
    return without_pixels(UIDS, **{keyword: value for keyword, value in both.items() if value is not None})
