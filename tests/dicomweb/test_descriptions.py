"""What searches know of studies whose instances say different amounts of them, or cannot be read in full."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.dicomweb.instances import instance
from tests.support.dicom import element
from tests.support.gantry import Gantry
from tests.support.web import Web, uid_path, value

STUDY, SERIES = "1.2.7", "1.2.7.1"
# An item that claims to be longer than the sequence around it.
BROKEN_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 4000) + b"\0" * 8
PROCEDURES = (0x0008, 0x1032)
REQUESTS = (0x0040, 0x0275)
PRIVATE = b"".join(element(0x0009, 0x1000 + number, b"LO", "x" * 60) for number in range(0xEFFF))  # 4 MiB


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry, "v1beta1")


def made(number: int, series: str = SERIES, **values: Any) -> bytes:
    return instance((STUDY, series, f"{series}.{number}"), InstanceNumber=number, **values)


def with_element(data: bytes, tag: tuple[int, int], raw: bytes) -> bytes:
    """``raw`` before the first element behind ``tag``."""
    at = data.index(b"DICM") + 4
    while at < len(data):
        group, number, vr, length = struct.unpack_from("<HH2sH", data, at)
        if (group, number) > tag:
            break
        if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
            length = struct.unpack_from("<I", data, at + 8)[0] + 4
        at += 8 + length
    return data[:at] + raw + data[at:]


def broken(data: bytes, tag: tuple[int, int]) -> bytes:
    return with_element(data, tag, element(*tag, b"SQ", BROKEN_ITEM))


@pytest.mark.parametrize("tag", [PROCEDURES, REQUESTS], ids=["study", "series"])
def test_a_sequence_that_cannot_be_read_costs_nothing_else(web: Web, tag: tuple[int, int]) -> None:
    web.stored(broken(made(1, StudyDate="20240105", Modality="MR"), tag))
    (found,) = web.search("studies", PatientName="Doe^John", StudyDate="20240105", ModalitiesInStudy="MR")
    assert value(found, "00100020") == "P1"
    assert value(web.search("series", Modality="MR")[0], "0020000E") == SERIES


def test_a_series_number_of_any_length_costs_nothing_else(web: Web) -> None:
    web.stored(with_element(made(1), (0x0020, 0x0011), element(0x0020, 0x0011, b"IS", "9" * 5000)))
    (found,) = web.search("studies", PatientName="Doe^John")
    assert value(found, "0020000D") == STUDY
    assert value(web.search("series", Modality="OT")[0], "00200011") == "9" * 5000


def test_an_instance_that_comes_later_fills_what_is_missing(web: Web) -> None:
    web.stored(made(1, PatientName=None, PatientID=None, Modality=None))
    assert web.search("studies", PatientName="Doe^John") == []
    web.stored(made(2, StudyDate="20240105", StudyDescription="Knee", Modality="MR"))
    for wanted in (
        {"PatientName": "Doe^John"},
        {"PatientID": "P1"},
        {"StudyDescription": "*nee*"},
        {"StudyDate": "20240105", "ModalitiesInStudy": "MR"},
    ):
        (found,) = web.search("studies", **wanted)
        assert (value(found, "00100020"), value(found, "00080061")) == ("P1", "MR"), wanted
    assert value(web.search("series", Modality="MR")[0], "00080060") == "MR"


def test_an_instance_of_the_same_request_fills_what_cannot_be_read(web: Web) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "K1", "99X", "Knee"
    web.stored(broken(made(1), PROCEDURES), made(2, ProcedureCodeSequence=[code]))
    (found,) = web.search("studies", PatientName="Doe^John", includefield="ProcedureCodeSequence")
    assert value(value(found, "00081032"), "00080100") == "K1"


def test_the_first_instance_counts_where_it_says_something(web: Web) -> None:
    web.stored(made(1, StudyDescription="Knee"))
    web.stored(made(2, StudyDescription="Hip", StudyID="7"))
    assert [value(found, "00200010") for found in web.search("studies", StudyDescription="Knee")] == ["7"]
    assert web.search("studies", StudyDescription="Hip") == []


def test_another_patient_in_the_study_fills_nothing(web: Web) -> None:
    web.stored(made(1, PatientID=None))
    web.stored(made(2, PatientName="Roe^Jane", PatientID="P2"))
    assert web.search("studies", PatientID="P2") == []


@pytest.mark.slow
def test_a_header_that_is_too_long_to_be_kept_describes_its_study(web: Web) -> None:
    web.stored(with_element(made(1, StudyDate="20240105", Modality="MR"), (0x0009, 0x0FFF), PRIVATE))
    (found,) = web.search("studies", PatientName="Doe^John", StudyDate="20240105", ModalitiesInStudy="MR")
    assert value(found, "00201208") == 1
    assert value(web.search("instances", InstanceNumber="1")[0], "00080018") == f"{SERIES}.1"
    assert value(web.metadata(uid_path(STUDY, SERIES, f"{SERIES}.1"))[0], "00100020") == "P1"


def test_what_was_filled_follows_a_change_of_metadata(web: Web) -> None:
    """The first instance has no description, the second no date."""
    web.stored(made(1, StudyDate="20240105"))
    web.stored(made(2, StudyDescription="Knee"))
    change = [{"op": "replace", "path": "/00100010/Value/0", "value": {"Alphabetic": "Roe^Jane"}}]
    response = web.gantry.request("PATCH", f"{web.root}/{uid_path(STUDY)}/metadata", json=change)
    web.gantry.wait(response.json()["name"], version="v1beta1")
    (found,) = web.search("studies", PatientName="Roe^Jane")
    assert (value(found, "00080020"), web.search("studies", PatientName="Doe^John")) == ("20240105", [])
    assert web.search("studies", StudyDescription="Knee", StudyDate="20240105") != []
