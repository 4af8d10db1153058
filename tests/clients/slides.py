"""A slide of a microscope: VL Whole Slide Microscopy images of several levels (PS3.3 §A.32.8)."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

SIZE, TILE, LEVELS = 1024, 256, 3
"""Pixels of a side of the largest level and of a tile; each further level has half the pixels of a side."""
STUDY = "1.2.826.0.1.3680043.10.511.7"
SERIES = f"{STUDY}.1"
SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
MILLIMETRES = 0.0005
"""Between the pixels of the largest level: an objective of 20 times."""
GLASS, TISSUE, CELL = COLOURS = (240, 240, 240), (220, 130, 180), (90, 50, 140)
ICC_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def slide(study: str = STUDY, syntax: str = JPEGBaseline8Bit) -> list[Dataset]:
    """Pink tissue with violet cells on white glass, the largest level first; in JPEG, RLE, or not compressed."""
    return [_level(number, study, syntax) for number in range(LEVELS)]


def _pixels(number: int) -> np.ndarray:
    """(side, side, 3) of bytes."""
    rows, columns = np.mgrid[: SIZE >> number, : SIZE >> number] << number
    made = np.full((*rows.shape, 3), GLASS, np.uint8)
    made[(rows - SIZE // 2) ** 2 + (columns - SIZE // 2) ** 2 < (SIZE * 3 // 8) ** 2] = TISSUE
    cell = (rows % 128 - 64) ** 2 + (columns % 128 - 64) ** 2 < 30**2
    made[cell & (made[..., 1] == TISSUE[1])] = CELL
    return made


def _tiles(number: int) -> list[np.ndarray]:
    """Row by row."""
    pixels = _pixels(number)
    places = range(0, SIZE >> number, TILE)
    return [pixels[row : row + TILE, column : column + TILE] for row in places for column in places]


def _jpeg(pixels: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90, subsampling="4:2:2")
    return out.getvalue()


def _level(number: int, study: str, syntax: str) -> Dataset:
    ds = _identified(number, study)
    side, spacing = SIZE >> number, MILLIMETRES * 2**number
    tiles = _tiles(number)
    ds.ImageType = [
        "ORIGINAL" if number == 0 else "DERIVED",
        "PRIMARY",
        "VOLUME",
        "NONE" if number == 0 else "RESAMPLED",
    ]
    ds.Rows = ds.Columns = TILE
    ds.TotalPixelMatrixRows = ds.TotalPixelMatrixColumns = side
    ds.TotalPixelMatrixFocalPlanes = ds.NumberOfOpticalPaths = 1
    ds.ImagedVolumeWidth = ds.ImagedVolumeHeight = SIZE * MILLIMETRES
    ds.ImagedVolumeDepth = 0.001
    ds.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    ds.DimensionOrganizationType, ds.NumberOfFrames = "TILED_FULL", len(tiles)
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.SharedFunctionalGroupsSequence = [_shared(spacing)]
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    if syntax == JPEGBaseline8Bit:
        ds.PhotometricInterpretation, ds.LossyImageCompression = "YBR_FULL_422", "01"
        ds.LossyImageCompressionMethod, ds.LossyImageCompressionRatio = "ISO_10918_1", 10
        ds.PixelData = encapsulate([_jpeg(tile) for tile in tiles], has_bot=True)
        ds["PixelData"].is_undefined_length = True
    else:
        ds.PhotometricInterpretation, ds.LossyImageCompression = "RGB", "00"
        ds.PixelData = b"".join(tile.tobytes() for tile in tiles)
    ds["PixelData"].VR = "OB"
    if syntax == RLELossless:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, generate_instance_uid=False)
    return ds


def _identified(number: int, study: str) -> Dataset:
    """All but the image itself."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SLIDE_IMAGE
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{number + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, f"{study}.1", "SM"
    ds.StudyDate = ds.ContentDate = "20240203"
    ds.StudyTime = ds.ContentTime = "101500"
    ds.AcquisitionDateTime, ds.StudyID, ds.AccessionNumber = "20240203101500", "1", "A7"
    ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientBirthDate = "Slide^Anna", "P8", "F", "19700101"
    ds.ReferringPhysicianName, ds.StudyDescription = "", "Slide"
    ds.Manufacturer = ds.ManufacturerModelName = "Test"
    ds.DeviceSerialNumber = ds.SoftwareVersions = "1"
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = f"{study}.9", "SLIDE_CORNER"
    ds.VolumetricProperties, ds.SpecimenLabelInImage, ds.FocusMethod = "VOLUME", "NO", "AUTO"
    ds.BurnedInAnnotation, ds.ExtendedDepthOfField = "NO", "NO"
    ds.ContainerIdentifier, ds.IssuerOfTheContainerIdentifierSequence = "C1", []
    ds.ContainerTypeCodeSequence = [_code("433466003", "SCT", "Microscope slide")]
    ds.SpecimenDescriptionSequence = [_specimen()]
    ds.AcquisitionContextSequence, ds.DimensionOrganizationSequence = [], [_organization()]
    ds.OpticalPathSequence, ds.TotalPixelMatrixOriginSequence = [_optical_path()], [_origin()]
    return ds


def _shared(spacing: float) -> Dataset:
    measures, kind, path, found = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [spacing, spacing], 0.001, 0.001
    kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    path.OpticalPathIdentifier = "1"
    found.PixelMeasuresSequence, found.WholeSlideMicroscopyImageFrameTypeSequence = [measures], [kind]
    found.OpticalPathIdentificationSequence = [path]
    return found


def _specimen() -> Dataset:
    found = Dataset()
    found.SpecimenIdentifier, found.SpecimenUID = "S1", f"{STUDY}.8"
    found.IssuerOfTheSpecimenIdentifierSequence, found.SpecimenPreparationSequence = [], []
    return found


def _organization() -> Dataset:
    found = Dataset()
    found.DimensionOrganizationUID = f"{STUDY}.6"
    return found


def _optical_path() -> Dataset:
    found = Dataset()
    found.OpticalPathIdentifier = "1"
    found.IlluminationTypeCodeSequence = [_code("111744", "DCM", "Brightfield illumination")]
    found.IlluminationColorCodeSequence = [_code("414298005", "SCT", "Full Spectrum")]
    found.ObjectiveLensPower, found.ICCProfile = 20, ICC_PROFILE
    return found


def _origin() -> Dataset:
    found = Dataset()
    found.XOffsetInSlideCoordinateSystem = found.YOffsetInSlideCoordinateSystem = 1
    return found


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    found = Dataset()
    found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning = value, scheme, meaning
    return found
