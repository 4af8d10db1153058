"""What results of searches carry: what PS3.18 Tables 10.6.3-3 to -5 require, and every attribute that was matched."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.server import Json
from tests.support.web import JSON, Web, value, values

STUDY = {"00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100030", "00100040", "00200010"}
COUNTS = {"00080061", "00201206", "00201208"}
SERIES = {"00080060", "0008103E", "00200011", "00201209"}
INSTANCE = {"00080016", "00080018", "00080056", "00200013", "00280010", "00280011", "00280100", "00081190"}
UIDS = {"0020000D", "0020000E"}
SAID = {
    "StudyDate": "20240105", "StudyTime": "101112", "AccessionNumber": "A1", "ReferringPhysicianName": "Ref^A",
    "PatientName": "Doe^Jane", "PatientID": "P1", "PatientBirthDate": "19700101", "PatientSex": "F", "StudyID": "S1",
    "SeriesDescription": "Ax", "SeriesNumber": "3", "InstanceNumber": "7", "StudyDescription": "Knee",
    "InstitutionName": "Clinic", "OperatorsName": "Op^A",
}  # fmt: skip


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    for study in range(2):
        for series, modality in enumerate(("CT", "MR")):
            uids = f"1.2.{study}", f"1.2.{study}.{series}"
            files = (instance((*uids, f"{uids[1]}.{number}"), Modality=modality, **SAID) for number in range(3))
            made.stored(*files)
    return made


def tags(found: list[Json]) -> set[str]:
    (of_first, *others) = map(set, found)
    assert all(other == of_first for other in others)
    return of_first


def test_studies(web: Web) -> None:
    assert tags(web.search("studies")) >= STUDY | COUNTS | {"0020000D", "00080056", "00081190"}


def test_series_of_the_store_have_their_study(web: Web) -> None:
    found = web.search("series")
    assert tags(found) >= STUDY | COUNTS | SERIES | UIDS
    assert {tuple(sorted(values(each, "00080061"))) for each in found} == {("CT", "MR")}
    assert {(value(each, "00201206"), value(each, "00201208"), value(each, "00201209")) for each in found} == {
        (2, 6, 3)
    }


def test_series_of_a_study_have_no_more_than_their_own(web: Web) -> None:
    found = tags(web.search("studies/1.2.0/series"))
    assert found >= SERIES | UIDS and not found & (STUDY | COUNTS)


def test_instances_of_the_store_have_their_series_and_study(web: Web) -> None:
    found = web.search("instances")
    assert len(found) == 12 and tags(found) >= STUDY | COUNTS | SERIES | INSTANCE | UIDS
    for each in found:
        series = value(each, "0020000E")
        assert value(each, "00080060") == ("CT", "MR")[int(series[-1])]
        assert value(each, "00100010")["Alphabetic"] == "Doe^Jane"


def test_instances_of_a_study_have_their_series(web: Web) -> None:
    found = tags(web.search("studies/1.2.0/instances"))
    assert found >= SERIES | INSTANCE | UIDS and not found & (STUDY | COUNTS)


def test_instances_of_a_series_have_no_more_than_their_own(web: Web) -> None:
    found = tags(web.search("studies/1.2.0/series/1.2.0.1/instances"))
    assert found >= INSTANCE | UIDS and not found & (STUDY | COUNTS | SERIES)


@pytest.mark.parametrize(
    "path", ["studies", "series", "instances", "studies/1.2.0/series", "studies/1.2.0/instances",
             "studies/1.2.0/series/1.2.0.0/instances"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("name", "wanted", "tag"),
    [
        ("StudyDescription", "Knee", "00081030"), ("PatientID", "P1", "00100020"), ("00080050", "A1", "00080050"),
        ("Modality", "CT", "00080060"), ("InstanceNumber", "7", "00200013"), ("InstitutionName", "Clinic", "00080080"),
        ("OperatorsName", "Op^A", "00081070"), ("SeriesNumber", "3", "00200011"),
    ],
)  # fmt: skip
def test_what_was_matched_comes_back(web: Web, path: str, name: str, wanted: str, tag: str) -> None:
    response = web.get(path, JSON, params={name: wanted})
    if response.status_code == 400:
        assert "unknown/unsupported QIDO attribute" in response.text
        return
    found = response.json()
    assert found and all(tag in each for each in found)
    strict = {"Alphabetic": wanted} if name == "OperatorsName" else wanted
    assert {str(value(each, tag)) for each in found} == {str(strict)}


def test_no_attribute_comes_twice(web: Web) -> None:
    response = web.get(
        "instances", JSON, params={"includefield": "PatientName,Modality,StudyDescription", "PatientID": "P1"}
    )
    for tag in ("00100010", "00080060", "00081030", "00100020", "0020000D"):
        assert response.text.count(f'"{tag}"') == 12, tag


def test_a_private_field_comes_with_its_creator(gantry: Gantry) -> None:
    web, changed = Web(gantry), BytesIO()
    ds = pydicom.dcmread(BytesIO(instance(("1.3", "1.3.1", "1.3.1.1"))))
    ds.private_block(0x0029, "MINE", create=True).add_new(1, "LO", "x")
    ds.save_as(changed)
    web.stored(changed.getvalue())
    (found,) = web.search("studies/1.3/instances", includefield="00291001")
    assert (value(found, "00290010"), value(found, "00291001")) == ("MINE", "x")


@pytest.mark.slow
def test_strict_mode_answers_as_google_does(web: Web, tmp_path) -> None:  # type: ignore[no-untyped-def]
    server = start_server(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_STRICT_SEARCH": "true"})
    try:
        strict = Web(Gantry(server))
        strict.stored(instance(("1.2", "1.2.1", "1.2.1.1"), Modality="CT", **SAID))
        found = tags(strict.search("instances", PatientID="P1"))
        assert not found & (STUDY | COUNTS | SERIES | {"00081190"})
        assert not tags(strict.search("series")) & (COUNTS | {"00200011"})
    finally:
        server.stop()


@pytest.mark.parametrize("path", ["studies", "series", "instances"])
@pytest.mark.parametrize("name", ["StudyInstanceUID", "0020000D"])
def test_several_parameters_for_a_uid_are_a_list(web: Web, path: str, name: str) -> None:
    """As clients in Python send lists; dcm4chee takes them so, too."""
    both = web.get(path, JSON, params=[(name, "1.2.0"), ("StudyInstanceUID", "1.2.1"), (name, "9.9")]).json()
    assert both == web.get(path, JSON, params={name: "1.2.0,1.2.1"}).json() and len(both) >= 2
    one = web.get(path, JSON, params=[(name, "1.2.0"), (name, "9.9")]).json()
    assert {value(each, "0020000D") for each in one} == {"1.2.0"}
    every = web.get(path, JSON, params=[(name, "1.2.0"), (name, "")]).json()
    assert {value(each, "0020000D") for each in every} == {"1.2.0", "1.2.1"}, "no value matches everything"
    inside = web.get(
        "studies/1.2.0/instances", JSON, params=[("SOPInstanceUID", "1.2.0.0.0"), ("SOPInstanceUID", "1.2.0.1.1")]
    )
    assert {value(each, "00080018") for each in inside.json()} == {"1.2.0.0.0", "1.2.0.1.1"}


@pytest.mark.parametrize("uid", ["study_000000001", "1.2.x", "é", "1.2.0.", "a" * 64])
def test_uids_with_other_characters_are_searched_as_text(web: Web, uid: str) -> None:
    for path, name in (
        ("studies", "StudyInstanceUID"),
        ("series", "SeriesInstanceUID"),
        ("instances", "SOPInstanceUID"),
    ):
        assert web.search(path, **{name: uid}) == []


def test_blanks_around_a_uid_are_none_of_it(web: Web) -> None:
    assert len(web.search("studies", StudyInstanceUID="1.2.0 ")) == 1
    assert len(web.search("studies", StudyInstanceUID=" 1.2.0")) == 1


@pytest.mark.parametrize("uid", ["1.2.*", "1.?", "a" * 65, "1 2", "1.2\x01"])
def test_what_is_no_uid(web: Web, uid: str) -> None:
    assert web.get("studies", JSON, params={"StudyInstanceUID": uid}).status_code == 400
