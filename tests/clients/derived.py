"""What highdicom derives from a CT series: segmentations and a measurement report."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from tests.clients.scans import SIZE, SLICES, STUDY
from tests.support.missing import not_tested

LABEL, LENGTH = "Spleen of a test", "12.5"


def highdicom() -> Any:
    """The library; pyproject.toml says for which versions of Python."""
    try:
        import highdicom
    except ModuleNotFoundError:
        not_tested("highdicom is not installed, so nothing here shows that what it makes and reads works")
    return highdicom


def mask() -> np.ndarray:
    """(SLICES, SIZE, SIZE) of bool: a block of 24 by 24 pixels in the middle of each image; another one in each."""
    found = np.zeros((SLICES, SIZE, SIZE), bool)
    for number in range(SLICES):
        found[number, 20 + number : 44 + number, 20:44] = True
    return found


def segmentation(images: list[Dataset], kind: str = "BINARY", syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """A SEG with one segment, LABEL (PS3.3 §A.51), in a transfer syntax; ``kind`` is a Segmentation Type."""
    hd = highdicom()
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Spleen,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        display_color=hd.color.CIELabColor.from_rgb(255, 0, 0),
    )
    made: Dataset = hd.seg.Segmentation(
        source_images=images,
        pixel_array=mask() * 0.75 if kind == "FRACTIONAL" else mask(),
        segmentation_type=kind,
        transfer_syntax_uid=syntax,
        segment_descriptions=[segment],
        series_instance_uid=f"{STUDY}.2",
        sop_instance_uid=f"{STUDY}.2.1",
        series_number=2,
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
        series_description="Segmentation",
    )
    return made


def measurement_report(images: list[Dataset]) -> Dataset:
    """A Comprehensive SR of TID 1500 (PS3.16): one length of LENGTH millimetres on the third image."""
    hd = highdicom()
    image = images[2]
    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array([[20.0, 32.0], [44.0, 32.0]]),
        source_image=hd.sr.SourceImageForRegion.from_source_image(image),
    )
    length = hd.sr.Measurement(name=codes.SCT.Length, value=float(LENGTH), unit=codes.UCUM.Millimeter)
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(identifier="Length 1"),
        referenced_region=region,
        finding_type=hd.sr.CodedConcept("52988006", "SCT", "Lesion"),
        measurements=[length],
    )
    person = hd.sr.PersonObserverIdentifyingAttributes(name="Reader^Anna")
    observer = hd.sr.ObserverContext(observer_type=codes.DCM.Person, observer_identifying_attributes=person)
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
    )
    made: Dataset = hd.sr.ComprehensiveSR(
        evidence=images,
        content=report[0],
        series_instance_uid=f"{STUDY}.4",
        sop_instance_uid=f"{STUDY}.4.1",
        series_number=4,
        instance_number=1,
        manufacturer="Test",
        series_description="Measurements",
    )
    return made
