"""A CT series, and a structure set that is drawn on it."""

from __future__ import annotations

import copy
from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

SIZE, SLICES, SPACING, THICKNESS = 64, 6, 2.0, 5.0
"""Pixels of a side, images, and millimetres between pixels and between images."""
STUDY = "1.2.826.0.1.3680043.10.511.1"
SERIES, FRAME_OF_REFERENCE = f"{STUDY}.1", f"{STUDY}.9"
CT_IMAGE, STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.481.3"
STRUCTURE = "Contour of a test"


def ct_series() -> list[Dataset]:
    """A disc in air, ever denser to the right, on SLICES images of SIZE by SIZE, from the feet to the head."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    inside = rows**2 + columns**2 < (SIZE * 3 // 8) ** 2
    return [
        _ct_image(number, np.where(inside, 1024 + number + 20 * columns, 24).astype("<i2")) for number in range(SLICES)
    ]


def _ct_image(number: int, pixels: np.ndarray) -> Dataset:
    ds = _identified(CT_IMAGE, f"{SERIES}.{number + 1}", SERIES, "CT")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber, ds.KVP = 1, number + 1, "120"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [0, 0, number * THICKNESS]
    ds.PixelSpacing, ds.SliceThickness = [SPACING, SPACING], THICKNESS
    ds.Rows = ds.Columns = SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 1
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.RescaleIntercept, ds.RescaleSlope, ds.WindowCenter, ds.WindowWidth = "-1024", "1", "0", "2000"
    ds.PixelData = pixels.tobytes()
    return ds


def _identified(sop_class: str, sop: str, series: str, modality: str) -> Dataset:
    """What every instance of the study has in common."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = sop
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = STUDY, series, modality
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20240203", "101500", "1", "A1"
    ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientBirthDate = "Derived^Anna", "P7", "F", "19700101"
    ds.ReferringPhysicianName, ds.Manufacturer, ds.StudyDescription = "", "Test", "CT with what is derived from it"
    return ds


def structure_set(images: list[Dataset]) -> Dataset:
    """An RTSTRUCT of one region of interest, a square on every image (PS3.3 §A.19)."""
    ds = _identified(STRUCTURE_SET, f"{STUDY}.3.1", f"{STUDY}.3", "RTSTRUCT")
    ds.SeriesNumber, ds.InstanceNumber, ds.SeriesDescription = 3, 1, "Structures"
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "TEST", "20240203", "101500"
    ds.ApprovalStatus = "UNAPPROVED"
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = SERIES, [_reference(image) for image in images]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", STUDY
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = FRAME_OF_REFERENCE, [study]
    region, contours, observation = Dataset(), Dataset(), Dataset()
    region.ROINumber, region.ROIName, region.ROIGenerationAlgorithm = 1, STRUCTURE, "MANUAL"
    region.ReferencedFrameOfReferenceUID = FRAME_OF_REFERENCE
    contours.ReferencedROINumber, contours.ROIDisplayColor = 1, [0, 255, 0]
    contours.ContourSequence = [_square(image) for image in images]
    observation.ObservationNumber = observation.ReferencedROINumber = 1
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", ""
    ds.ReferencedFrameOfReferenceSequence, ds.StructureSetROISequence = [frame], [region]
    ds.ROIContourSequence, ds.RTROIObservationsSequence = [contours], [observation]
    return ds


def _square(image: Dataset) -> Dataset:
    contour = Dataset()
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
    z = float(image.ImagePositionPatient[2])
    contour.ContourData = [40, 40, z, 88, 40, z, 88, 88, z, 40, 88, z]
    contour.ContourImageSequence = [_reference(image)]
    return contour


def _reference(image: Dataset) -> Dataset:
    found = Dataset()
    found.ReferencedSOPClassUID, found.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return found


def in_study(ds: Dataset, study: str) -> Dataset:
    """The same in another study: each UID that begins with STUDY begins with ``study``, references as well."""
    made = copy.deepcopy(ds)
    made.walk(lambda _, element: _rename(element, study))
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def _rename(element: DataElement, study: str) -> None:
    if element.VR == "UI" and isinstance(element.value, str) and element.value.startswith(STUDY):
        element.value = study + element.value.removeprefix(STUDY)


def part10(ds: Dataset) -> bytes:
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(data))
