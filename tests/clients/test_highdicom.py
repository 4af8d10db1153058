"""highdicom: segmentations that it makes are stored over their CT, and come back as it wrote them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from tests.clients import derived, scans
from tests.support.gantry import Gantry
from tests.support.web import Web

pytestmark = pytest.mark.slow

SEGMENTATION = (scans.STUDY, f"{scans.STUDY}.2", f"{scans.STUDY}.2.1")
CASES = [
    ("BINARY", ExplicitVRLittleEndian),
    ("FRACTIONAL", ExplicitVRLittleEndian),
    ("FRACTIONAL", RLELossless),
    ("FRACTIONAL", JPEGLSLossless),
    ("LABELMAP", ExplicitVRLittleEndian),
    ("LABELMAP", RLELossless),
    ("LABELMAP", JPEGLSLossless),
]


@pytest.fixture
def client(gantry: Gantry) -> DICOMwebClient:
    return DICOMwebClient(Web(gantry).url)


def store_over_ct(client: DICOMwebClient, kind: str, syntax: str) -> Dataset:
    """The segmentation is made of the CT as the server gives it back. What was sent."""
    client.store_instances([scans.read(scans.part10(image)) for image in scans.ct_series()])
    images = sorted(client.retrieve_series(scans.STUDY, scans.SERIES), key=lambda image: int(image.InstanceNumber))
    made = scans.read(scans.part10(derived.segmentation(images, kind, syntax)))
    answer = client.store_instances([made])
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [SEGMENTATION[2]]
    return made


def pixels_of(segmentation: Dataset) -> np.ndarray:
    """(images, rows, columns) of the segment, in the order of the CT, as highdicom finds them by its references."""
    sources = [f"{scans.SERIES}.{number + 1}" for number in range(scans.SLICES)]
    found: np.ndarray = segmentation.get_pixels_by_source_instance(sources, segment_numbers=[1])[..., 0]
    return found


@pytest.mark.parametrize(("kind", "syntax"), CASES)
@pytest.mark.parametrize("asked", ["*", ExplicitVRLittleEndian])
def test_a_segmentation_comes_back(client: DICOMwebClient, kind: str, syntax: str, asked: str) -> None:
    """As stored, and in the plain syntax, by ``segread``."""
    sent = store_over_ct(client, kind, syntax)
    got = client.retrieve_instance(*SEGMENTATION, media_types=(("application/dicom", asked),))
    read = derived.highdicom().seg.segread(BytesIO(scans.part10(got)))
    assert read.file_meta.TransferSyntaxUID == (syntax if asked == "*" else asked)
    assert read.get_segment_description(1).segment_label == derived.LABEL
    expected = derived.mask() * (0.75 if kind == "FRACTIONAL" else 1)
    np.testing.assert_allclose(pixels_of(read), expected, atol=1 / 255)
    assert np.array_equal(read.pixel_array, sent.pixel_array)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_of_metadata_and_bulk_data(client: DICOMwebClient, kind: str) -> None:
    """A data set that is made of the server's JSON and what its addresses give is the one that was sent."""
    sent = store_over_ct(client, kind, ExplicitVRLittleEndian)
    metadata = client.retrieve_instance_metadata(*SEGMENTATION)
    made = Dataset.from_json(metadata, lambda tag, vr, uri: bytes(client.retrieve_bulkdata(uri)[0]))
    for element in made.group_dataset(2):  # as at Google
        del made[element.tag]
    made.file_meta = sent.file_meta
    read = derived.highdicom().seg.Segmentation.from_dataset(scans.read(scans.part10(made)))
    assert np.array_equal(pixels_of(read) != 0, derived.mask())
    assert made == sent


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_frames_of_a_segmentation(client: DICOMwebClient, kind: str) -> None:
    """Bits of a binary one are packed, the lowest first (PS3.5 §8.1.1)."""
    sent = store_over_ct(client, kind, ExplicitVRLittleEndian)
    numbers = list(range(1, int(sent.NumberOfFrames) + 1))
    frames = client.retrieve_instance_frames(*SEGMENTATION, frame_numbers=numbers)
    values = np.frombuffer(b"".join(frames), np.uint8)
    values = np.unpackbits(values, bitorder="little") if kind == "BINARY" else values
    assert np.array_equal(values.reshape(sent.pixel_array.shape), sent.pixel_array)


def test_a_measurement_report_comes_back(client: DICOMwebClient) -> None:
    """Its length, where highdicom finds it in the tree of content."""
    images = scans.ct_series()
    sent = scans.read(scans.part10(derived.measurement_report(images)))
    client.store_instances([*(scans.read(scans.part10(image)) for image in images), sent])
    got = client.retrieve_instance(scans.STUDY, f"{scans.STUDY}.4", f"{scans.STUDY}.4.1")
    assert got == sent
    report = derived.highdicom().sr.srread(BytesIO(scans.part10(got)))
    (group,) = report.content.get_planar_roi_measurement_groups()
    (measured,) = group.get_measurements()
    assert measured.value == float(derived.LENGTH)
