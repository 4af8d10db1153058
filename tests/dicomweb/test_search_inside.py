"""QIDO-RS inside of sequences and by attributes without an index, in one study (PS3.18 §8.3.4.1, PS3.4 §C.2.2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web, value

STUDY = "1.2.1"
SERIES, INSTANCES = f"studies/{STUDY}/series", f"studies/{STUDY}/instances"
REQUEST = "RequestAttributesSequence"


def items(*attributes: dict[str, Any]) -> Sequence:
    made = []
    for each in attributes:
        ds = Dataset()
        for keyword, given in each.items():
            setattr(ds, keyword, given)
        made.append(ds)
    return Sequence(made)


@pytest.fixture(scope="module")
def web(server: GantryServer) -> Iterator[Web]:
    """A CT that was requested twice, and a report that refers to the second image of it."""
    made = Web(Gantry(server))
    requested = items(
        {"RequestedProcedureID": "RP1", "ScheduledProcedureStepID": "SPS1"},
        {"RequestedProcedureID": "RP2", "ScheduledProcedureStepID": "SPS2"},
    )
    ct = {"Modality": "CT", REQUEST: requested, "SliceThickness": "1.5", "ReferringPhysicianName": "A^B"}
    referred = items({"ReferencedSOPInstanceUID": "1.2.1.1.2", "ReferencedSOPClassUID": "1.2"})
    of_series = items({"SeriesInstanceUID": "1.2.1.1", "ReferencedInstanceSequence": referred})
    one = {"AcquisitionDateTime": "20240105101530.5+0100", "ImageComments": "Néoplasie du foie", "Columns": 2}
    one |= {"ImageType": ["ORIGINAL", "PRIMARY"], "ImagePositionPatient": [0, -12.5, 3]}
    two = {"AcquisitionDateTime": "20240106", "SliceThickness": "3", "ContentDate": "20240106", "ContentTime": "101500"}
    author = {"ReferencedSeriesSequence": of_series, "PersonName": "Müller^Jörg", "Modality": "SR"}
    made.stored(
        instance((STUDY, "1.2.1.1", "1.2.1.1.1"), **ct, **one),
        instance((STUDY, "1.2.1.1", "1.2.1.1.2"), **{**ct, **two}),
        instance((STUDY, "1.2.1.2", "1.2.1.2.1"), **author),
        instance(("1.2.2", "1.2.2.1", "1.2.2.1.1"), **ct),
    )
    yield made


def found(web: Web, path: str, **parameters: Any) -> list[str]:
    tag = "0020000E" if path.endswith("series") else "00080018"
    return [value(each, tag) for each in web.search(path, **parameters)]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({f"{REQUEST}.RequestedProcedureID": "RP2"}, ["1.2.1.1"]),
        ({"00400275.00400009": "SPS1"}, ["1.2.1.1"]),
        ({f"{REQUEST}.RequestedProcedureID": "rp?"}, ["1.2.1.1"]),
        ({f"{REQUEST}.RequestedProcedureID": "RP3"}, []),
        ({f"{REQUEST}.RequestedProcedureID": "RP1", "Modality": "SR"}, []),
        ({f"{REQUEST}.RequestedProcedureID": "RP1", "Modality": "CT"}, ["1.2.1.1"]),
        ({f"{REQUEST}.RequestedProcedureID": "*"}, ["1.2.1.1", "1.2.1.2"]),
        ({f"{REQUEST}.RequestedProcedureID": ""}, ["1.2.1.1", "1.2.1.2"]),
        ({f"{REQUEST}.RequestedProcedureID": "*", "Modality": "SR"}, ["1.2.1.2"]),
        ({"Modality": "C*,SR"}, ["1.2.1.1", "1.2.1.2"]),
        ({"Modality": "X*,sr"}, ["1.2.1.2"]),
    ],
)
def test_series_by_what_was_requested(web: Web, parameters: dict[str, str], expected: list[str]) -> None:
    """PS3.18 Table 10.6.1-5: Request Attributes Sequence, in any of its items."""
    assert found(web, SERIES, **parameters) == expected


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("ReferencedSeriesSequence.ReferencedInstanceSequence.ReferencedSOPInstanceUID", "1.2.1.1.2", [3]),
        ("ReferencedSeriesSequence.ReferencedInstanceSequence.ReferencedSOPInstanceUID", "9.9,1.2.1.1.2", [3]),
        ("ReferencedSeriesSequence.SeriesInstanceUID", "1.2.1.9", []),
        ("SliceThickness", "1.50", [1]),
        ("SliceThickness", "3", [2]),
        ("ImageComments", "*FOIE", [1]),
        ("ImageComments", "neo*du?foie", [1]),
        ("ImageComments", "Néoplasie", []),
        ("PersonName", "MULLER^*", [3]),
        ("AcquisitionDateTime", "20240105-20240106", [1, 2]),
        ("AcquisitionDateTime", "2024010510-20240105", [1]),
        ("AcquisitionDateTime", "-20240105101530", [1]),
        ("AcquisitionDateTime", "202401051016-", [2]),
        ("AcquisitionDateTime", "2024", [1, 2]),
        ("ContentDate", "20240101-20240131", [2]),
        ("ContentTime", "1015", [2]),
        ("ContentTime", "1016-", []),
        ("ContentTime", "10:15", [2]),
        ("ContentTime", "101459.9-101500.0", [2]),
        ("ContentDate", "2024.01.06-", [2]),
        ("AcquisitionDateTime", "20240106120000-20240106130000", [2]),
        ("AcquisitionDateTime", "20240105101530.500-20240105101530.999", [1]),
        ("AcquisitionDateTime", "20240105101530.6-", [2]),
        ("ImageType", "PRIMARY", [1]),
        ("ImageType", "*MARY", [1]),
        ("ImageType", "ORIGINAL?PRIMARY", []),
        ("ImagePositionPatient", "-12.5", [1]),
        ("ReferencedSeriesSequence.SeriesInstanceUID", "*", [1, 2, 3]),
        ("ReferencedSeriesSequence.ReferencedInstanceSequence.ReferencedSOPClassUID", "", [1, 2, 3]),
        ("ImageComments", "", [1, 2, 3]),
        ("ImageComments", "*", [1, 2, 3]),
        ("PixelData", "1", []),
    ],
)
def test_instances_by_any_attribute(web: Web, name: str, asked: str, expected: list[int]) -> None:
    """Ranges of dates, times and date-times (PS3.4 §C.2.2.2.5), lists of UIDs, wildcards, numbers as numbers."""
    names = {1: "1.2.1.1.1", 2: "1.2.1.1.2", 3: "1.2.1.2.1"}
    assert found(web, INSTANCES, **{name: asked}) == [names[number] for number in expected]


def test_a_series_in_the_address(web: Web) -> None:
    assert found(web, f"studies/{STUDY}/series/1.2.1.1/instances", SliceThickness="3") == ["1.2.1.1.2"]


def test_pages_of_what_matches(web: Web) -> None:
    """§10.4: limit and offset count results, not what was looked through."""
    wanted = {"AcquisitionDateTime": "2024-"}
    assert found(web, INSTANCES, **wanted, limit=1) == ["1.2.1.1.1"]
    assert found(web, INSTANCES, **wanted, limit=1, offset=1) == ["1.2.1.1.2"]
    assert found(web, INSTANCES, **wanted, offset=2) == []


@pytest.mark.parametrize(
    ("path", "name", "asked"),
    [
        ("series", f"{REQUEST}.ScheduledProcedureStepDescription", "RP1"),
        ("instances", "SliceThickness", "1"),
        (f"studies?StudyInstanceUID={STUDY}", f"{REQUEST}.RequestedProcedureID", "RP1"),
        (SERIES, "SliceThickness", "1"),
        (SERIES, REQUEST, "RP1"),
        (SERIES, "Modality.RequestedProcedureID", "RP1"),
        (INSTANCES, "Foo.Bar", "1"),
        (INSTANCES, ".".join([REQUEST] * 8 + ["RequestedProcedureID"]), "1"),
        (INSTANCES, "TransferSyntaxUID", "1.2"),
    ],
)
def test_what_would_need_an_index_is_refused(web: Web, path: str, name: str, asked: str) -> None:
    refused(web.get(path, params={name: asked}), "INVALID_ARGUMENT", f"unknown/unsupported QIDO attribute: {name[:90]}")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("AcquisitionDateTime", "yesterday"),
        ("AcquisitionDateTime", "20240105-20240106-"),
        ("ContentTime", "1"),
        ("SliceThickness", "thin"),
        ("SliceThickness", "nan"),
        ("SliceThickness", "9" * 1000),
        ("ImageComments", "a\0"),
    ],
)
def test_values_that_are_none(web: Web, name: str, asked: str) -> None:
    refused(web.get(INSTANCES, params={name: asked}), "INVALID_ARGUMENT", name)


def test_no_pattern_takes_long(web: Web) -> None:
    """Forty wildcards, and a text that nearly matches; read the other way round it would not end."""
    text = "a" * 5000
    web.stored(instance(("1.2.3", "1.2.3.1", "1.2.3.1.1"), ImageComments=text))
    assert found(web, "studies/1.2.3/instances", ImageComments="*a" * 40 + "*b") == []
    assert found(web, "studies/1.2.3/instances", ImageComments="*a" * 40) == ["1.2.3.1.1"]
