"""Instances with the attributes a test asks for, written by pydicom."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom.data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


def instance(
    uids: tuple[str, str, str], syntax: str = EXPLICIT_LE, charset: str = "ISO_IR 192", **values: Any
) -> bytes:
    """A Part 10 file: Study, Series and SOP Instance UID, and attributes by keyword. Two by two pixels."""
    ds = Dataset()
    ds.SpecificCharacterSet = charset.split("\\") if "\\" in charset else charset
    ds.SOPClassUID, ds.Modality, ds.PatientName, ds.PatientID = SECONDARY_CAPTURE, "OT", "Doe^John", "P1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids
    ds.Rows = ds.Columns = 2
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = b"\0\x50\xa0\xf0"
    for keyword, given in values.items():
        if given is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, given)
    if "PixelData" in ds:
        ds["PixelData"].VR = "OB" if syntax != IMPLICIT_LE else "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    out = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def packaged(name: str) -> bytes:
    """A file that pydicom ships."""
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path is not None, name
    return Path(str(path)).read_bytes()


def uids_of(data: bytes) -> tuple[str, str, str]:
    ds = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    return str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)
