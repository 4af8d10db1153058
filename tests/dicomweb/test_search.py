"""QIDO-RS (PS3.18 §10.6; spec §10.4): what is found, what is answered, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.server import GantryServer
from tests.support.web import JSON, Web, parts_of, uid_path, value, values

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
A, B, C = "1.2.1", "1.2.2", "1.2.3"
STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
GOOGLE_STUDY = {
    *("00080005", "00080020", "00080030", "00080050", "00080056", "00080090", "00100010", "00100020", "00100030"),
    *("00100040", STUDY_UID, "00200010"),
}


def fill(gantry: Gantry) -> Web:
    """Three studies: A with CT (2 instances) and MR (1), B with CT, C without a date."""
    web = Web(gantry)
    a: dict[str, Any] = {
        "PatientName": "Müller^Jürgen",
        "PatientID": "P-001",
        "AccessionNumber": "ACC1",
        "ReferringPhysicianName": "House^Gregory",
        "StudyDate": "20240105",
        "StudyTime": "101530.5",
        "StudyDescription": "CT Brain with contrast",
        "StudyID": "7",
        "PatientBirthDate": "19600102",
        "PatientSex": "M",
        "InstitutionName": "St. Elsewhere",
    }
    one = {
        "Modality": "CT",
        "SeriesNumber": 1,
        "SeriesDescription": "axial",
        "SOPClassUID": CT,
        "BodyPartExamined": "HEAD",
    }
    two = {"Modality": "MR", "SeriesNumber": 2, "SeriesDescription": "flair", "SOPClassUID": MR}
    web.stored(
        instance((A, "1.2.1.1", "1.2.1.1.1"), **a, **one, InstanceNumber=1, ImageComments="first"),
        instance((A, "1.2.1.1", "1.2.1.1.2"), **a, **one, InstanceNumber=2),
        instance((A, "1.2.1.2", "1.2.1.2.1"), **a, **two, InstanceNumber=1),
        instance((B, "1.2.2.1", "1.2.2.1.1"), PatientName="Doe^John", PatientID="P-002", AccessionNumber="ACC2",
                 StudyDate="20240210", StudyDescription="Thorax", Modality="CT", SOPClassUID=CT),
        instance((C, "1.2.3.1", "1.2.3.1.1"), PatientName="Doe^Jane", PatientID="P-003", Modality="US"),
    )  # fmt: skip
    return web


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return fill(gantry)


def studies(web: Web, **parameters: Any) -> list[str]:
    return [value(item, STUDY_UID) for item in web.search("studies", **parameters)]


# The six levels -------------------------------------------------------------------------------------------------------


def test_studies_come_latest_first_with_what_the_standard_requires(web: Web) -> None:
    """§10.4.6, PS3.18 Table 10.6.3-3."""
    found = web.search("studies")
    assert [value(item, STUDY_UID) for item in found] == [B, A, C]
    study = found[1]
    assert study.keys() == GOOGLE_STUDY | {"00080061", "00081190", "00201206", "00201208"}
    assert value(study, "00080005") == "ISO_IR 192"
    assert value(study, "00080020") == "20240105"
    assert value(study, "00080030") == "101530.5"
    assert value(study, "00080050") == "ACC1"
    assert value(study, "00080056") == "ONLINE"
    assert values(study, "00080061") == ["CT", "MR"]
    assert value(study, "00080090") == {"Alphabetic": "House^Gregory"}
    assert value(study, "00081190") == f"{web.url}/studies/{A}"
    assert value(study, "00100010") == {"Alphabetic": "Müller^Jürgen"}
    assert value(study, "00100020") == "P-001"
    assert (value(study, "00100030"), value(study, "00100040"), value(study, "00200010")) == ("19600102", "M", "7")
    assert (value(study, "00201206"), value(study, "00201208")) == (2, 3)


def test_series_of_a_study(web: Web) -> None:
    """PS3.18 Table 10.6.3-4."""
    found = web.search(f"studies/{A}/series")
    assert [value(item, SERIES_UID) for item in found] == ["1.2.1.1", "1.2.1.2"]
    assert value(found[0], STUDY_UID) == A
    assert value(found[0], "00080060") == "CT"
    assert value(found[0], "0008103E") == "axial"
    assert value(found[0], "00200011") == 1
    assert value(found[0], "00201209") == 2
    assert value(found[0], "00081190") == f"{web.url}/{uid_path(A, '1.2.1.1')}"


def test_series_of_the_store(web: Web) -> None:
    """With what is known of their studies, which the address does not name (PS3.18 §10.6.3.3)."""
    found = web.search("series", PatientID="P-001", Modality="MR")
    assert [value(item, SERIES_UID) for item in found] == ["1.2.1.2"]
    assert value(found[0], "00100020") == "P-001" and "00081030" not in found[0]
    assert "00100020" not in web.search(f"studies/{A}/series")[0]
    (found,) = web.search(f"studies/{A}/series", Modality="MR", includefield="PatientID,StudyDescription")
    assert (value(found, "00100020"), value(found, "00081030")) == ("P-001", "CT Brain with contrast")
    assert value(web.search("series", Modality="MR", includefield="all")[0], "00081030") == "CT Brain with contrast"
    assert len(web.search("series")) == 4


@pytest.mark.parametrize(
    "path, count",
    [
        ("instances", 5),
        (f"studies/{A}/instances", 3),
        (f"studies/{A}/series/1.2.1.1/instances", 2),
        ("studies/9/instances", 0),
    ],
)
def test_instances_at_every_depth(web: Web, path: str, count: int) -> None:
    assert len(web.search(path)) == count


def test_an_instance_says_what_the_standard_requires(web: Web) -> None:
    """§10.4.6, PS3.18 Table 10.6.3-5."""
    (found,) = web.search(f"studies/{A}/series/1.2.1.1/instances", SOPInstanceUID="1.2.1.1.2")
    numbers = {"00200013": 2, "00280010": 2, "00280011": 2, "00280100": 8}
    uids = {"00080016": CT, SOP_UID: "1.2.1.1.2", STUDY_UID: A, SERIES_UID: "1.2.1.1"}
    said = {"00080005": "ISO_IR 192", "00080056": "ONLINE"}
    address = f"{web.url}/{uid_path(A, '1.2.1.1', '1.2.1.1.2')}"
    assert {tag: value(found, tag) for tag in found} == numbers | uids | said | {"00081190": address}


# Matching -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, asked, expected",
    [
        ("StudyInstanceUID", B, [B]),
        ("StudyInstanceUID", f"{A},{C}", [A, C]),
        ("0020000D", f"{A}\\{B}", [B, A]),
        ("PatientID", "P-001", [A]),
        ("00100020", "P-002", [B]),
        ("PatientID", "p-001", []),
        ("PatientID", "P-00*", [B, A, C]),
        ("PatientID", "*002", [B]),
        ("PatientID", "P-00?", [B, A, C]),
        ("PatientName", "müller^jürgen", [A]),
        ("PatientName", "MULLER^JURGEN", [A]),
        ("PatientName", "Doe^*", [B, C]),
        ("PatientName", "*ohn*", [B]),
        ("PatientName", "Doe", []),
        ("AccessionNumber", "ACC1", [A]),
        ("AccessionNumber", "*cc*", [B, A]),
        ("ReferringPhysicianName", "house^gregory", [A]),
        ("StudyDate", "20240105", [A]),
        ("StudyDate", "20240101-20240131", [A]),
        ("StudyDate", "20240106-", [B]),
        ("StudyDate", "-20240105", [A]),
        ("StudyTime", "10-11", [A]),
        ("StudyTime", "101530.5", [A]),
        ("StudyTime", "-1014", []),
        ("StudyDescription", "*brain*", [A]),
        ("StudyDescription", "Thorax", [B]),
        ("StudyDescription", "thorax", []),
        ("StudyID", "7", [A]),
        ("ModalitiesInStudy", "MR", [A]),
        ("ModalitiesInStudy", "CT", [B, A]),
        ("ModalitiesInStudy", "US,MR", [A, C]),
        ("ModalitiesInStudy", "us\\mr", [A, C]),
        ("ModalitiesInStudy", "C*", [B, A]),
        ("ModalitiesInStudy", "m?", [A]),
        ("ModalitiesInStudy", "*", [B, A, C]),
        ("ModalitiesInStudy", "*R,US", [A, C]),
        ("ModalitiesInStudy", "MR,", [A]),
        ("ModalitiesInStudy", "*R\\\\", [A]),
        ("ModalitiesInStudy", ",", [B, A, C]),
        ("ModalitiesInStudy", "X*,us", [C]),
        ("ModalitiesInStudy", "C*R", []),
        ("ModalitiesInStudy", "[C]*", []),
        ("ModalitiesInStudy", "X*", []),
        ("PatientName", "", [B, A, C]),
        ("PatientName", "*", [B, A, C]),
    ],
)  # fmt: skip
def test_matching(web: Web, name: str, asked: str, expected: list[str]) -> None:
    """§10.4.2 and what viewers need beyond it: lists, wildcards, ranges (PS3.4 §C.2.2.2)."""
    assert studies(web, **{name: asked}) == expected


STORED_MOMENTS = {
    "1.4.1": ("20200102", "101112"),
    "1.4.2": ("2020.01.03", "1011"),
    "1.4.3": ("20200104", "10"),
    "1.4.4": ("2020.01.05", "10:11:12"),
    "1.4.5": ("20200106", "101112.5"),
    "1.4.6": ("20200107", "110000"),
    "1.4.7": ("", ""),
    "1.4.8": ("UNKNOWN ", "12h30 "),
    "1.4.9": ("02/01/2020", "noon"),
}


@pytest.fixture(scope="module")
def moments(server: GantryServer) -> Web:
    """Dates and times in every form that files have, also that of ACR-NEMA (PS3.5 §6.2, notes to DA and TM)."""
    made = Web(Gantry(server))
    for study, (date, time) in STORED_MOMENTS.items():
        data = instance((study, f"{study}.1", f"{study}.1.1"), StudyDate="19000101", StudyTime="000000.00000")
        data = data.replace(b"DA\x08\x0019000101", b"DA" + text(date, 10))
        made.stored(data.replace(b"TM\x0c\x00000000.00000", b"TM" + text(time, 12)))
    return made


def text(value: str, length: int) -> bytes:
    """A value and its length, of at least ``length`` bytes."""
    padded = value.encode().ljust(length if value else 0)
    return len(padded).to_bytes(2, "little") + padded


@pytest.mark.parametrize(
    "name, asked, expected",
    [
        ("StudyTime", "101112.000-101112.999", [1, 2, 3, 4, 5]),
        ("StudyTime", "101100-101159", [1, 2, 3, 4, 5]),
        ("StudyTime", "1011", [1, 2, 3, 4, 5]),
        ("StudyTime", "10", [1, 2, 3, 4, 5]),
        ("StudyTime", "101112", [1, 2, 3, 4, 5]),
        ("StudyTime", "101112.6-", [1, 2, 3, 4, 6]),
        ("StudyTime", "101113-", [2, 3, 6]),
        ("StudyTime", "1012-", [3, 6]),
        ("StudyTime", "-101111", [2, 3]),
        ("StudyTime", "10:11:12-10:11:13", [1, 2, 3, 4, 5]),
        ("StudyTime", "11-", [6]),
        ("StudyTime", "-10", [1, 2, 3, 4, 5]),
        ("StudyTime", "12-13", []),
        ("StudyTime", "1230", []),
        ("StudyTime", "00-", [1, 2, 3, 4, 5, 6]),
        ("StudyDate", "20200101-", [1, 2, 3, 4, 5, 6]),
        ("StudyDate", "-20300101", [1, 2, 3, 4, 5, 6]),
        ("StudyDate", "-20200101", []),
        ("StudyDate", "20200103", [2]),
        ("StudyDate", "2020.01.03", [2]),
        ("StudyDate", "20200103-20200105", [2, 3, 4]),
        ("StudyDate", "2020.01.05-", [4, 5, 6]),
        ("StudyDate", "-20200103", [1, 2]),
    ],
)
def test_dates_and_times_are_compared_as_such(moments: Web, name: str, asked: str, expected: list[int]) -> None:
    """PS3.4 §C.2.2.2.5: a part that is not written makes a span, whether stored or asked for."""
    assert sorted(studies(moments, **{name: asked})) == [f"1.4.{number}" for number in expected]


def test_old_dates_stand_in_the_order_of_the_others(moments: Web) -> None:
    """Latest first, and as the file has them in the answer."""
    found = moments.search("studies")
    assert [value(item, STUDY_UID) for item in found] == [f"1.4.{number}" for number in (8, 6, 5, 4, 3, 2, 1, 9, 7)]
    assert value(found[3], "00080020") == "2020.01.05"


def test_an_empty_word_in_a_list_of_modalities_finds_nothing_more(web: Web) -> None:
    unsaid = Web(web.gantry)
    unsaid.stored(instance(("1.4.20", "1.4.20.1", "1.4.20.1.1"), PatientID="P-020", Modality=None))
    assert unsaid.search("series", PatientID="P-020", Modality="MR,") == []
    assert len(unsaid.search("series", PatientID="P-020", Modality=",")) == 1
    assert unsaid.gantry.server.request("DELETE", f"{unsaid.root}/studies/1.4.20").status_code == 200


def test_all_conditions_must_hold(web: Web) -> None:
    assert studies(web, PatientName="Doe^*", ModalitiesInStudy="US") == [C]
    assert studies(web, PatientName="Doe^*", PatientID="P-001") == []
    assert len(web.search("instances", PatientID="P-001", Modality="CT")) == 2


@pytest.mark.parametrize(
    "asked, expected", [("jo", [B]), ("Do", [B, C]), ("John Doe", [B, C]), ("ohn", []), ("mull", [A]), ("JÜR", [A])]
)
def test_fuzzy_matching(web: Web, asked: str, expected: list[str]) -> None:
    """§10.4.3: any word of the query begins any word of the name."""
    assert studies(web, PatientName=asked, fuzzymatching="true") == expected


@pytest.mark.parametrize(
    "path, parameters, count",
    [
        ("series", {"SeriesInstanceUID": "1.2.1.1,1.2.3.1"}, 2),
        ("series", {"SeriesDescription": "AX*"}, 1),
        ("series", {"SeriesNumber": "2"}, 1),
        ("series", {"Modality": "C?"}, 2),
        (f"studies/{A}/series", {"Modality": "CT\\MR"}, 2),
        ("instances", {"SOPClassUID": CT}, 3),
        ("instances", {"InstanceNumber": "1"}, 2),
        ("instances", {"InstanceNumber": "+01"}, 2),
        ("instances", {"SOPInstanceUID": "1.2.1.1.1\\1.2.2.1.1"}, 2),
        (f"studies/{A}/instances", {"SeriesInstanceUID": "1.2.1.2"}, 1),
    ],
)
def test_matching_below_studies(web: Web, path: str, parameters: dict[str, str], count: int) -> None:
    assert len(web.search(path, **parameters)) == count


@pytest.mark.parametrize(
    "charset, name, alphabetic, ideographic, asked",
    [
        ("ISO_IR 100", "Åström^Lars", "Åström^Lars", "", "astrom^*"),
        ("ISO_IR 126", "Διονυσιος", "Διονυσιος", "", "διονυσιοσ"),
        ("ISO_IR 144", "Люкceмбypг", "Люкceмбypг", "", "люк*"),
        ("ISO_IR 127", "قباني^لنزار", "قباني^لنزار", "", "قباني*"),
        ("ISO_IR 138", "שרון^דבורה", "שרון^דבורה", "", "*דבורה"),
        ("GB18030", "Wang^XiaoDong=王^小东", "Wang^XiaoDong", "王^小东", "王^小东"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou", "山田^太郎", "山田*"),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동", "Hong^Gildong", "洪^吉洞", "홍^길동"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東", "Wang^XiaoDong", "王^小東", "*小東"),
    ],
)
def test_names_of_all_scripts_are_found_and_answered_in_utf_8(
    gantry: Gantry, charset: str, name: str, alphabetic: str, ideographic: str, asked: str
) -> None:
    """PS3.5 Annexes H to K; PS3.18 §F.2.2: JSON is UTF-8."""
    web = Web(gantry)
    web.stored(instance((A, "1.2.1.1", "1.2.1.1.1"), charset=charset, PatientName=name, PatientID="x"))
    (found,) = web.search("studies", PatientName=asked)
    assert value(found, "00100010")["Alphabetic"] == alphabetic
    assert value(found, "00100010").get("Ideographic", "") == ideographic
    assert value(found, "00080005") == "ISO_IR 192"


# Paging ---------------------------------------------------------------------------------------------------------------


def test_pages_in_a_stable_order(web: Web) -> None:
    """§10.4.4"""
    assert studies(web, limit=2) == [B, A]
    assert studies(web, limit=2, offset=2) == [C]
    assert studies(web, offset=3) == []
    assert studies(web, limit=0) == []
    whole = [value(item, SOP_UID) for item in web.search("instances")]
    assert [
        value(item, SOP_UID) for start in range(5) for item in web.search("instances", limit=1, offset=start)
    ] == whole


@pytest.mark.parametrize(
    "path, name, asked",
    [
        ("studies", "limit", "5001"),
        ("series", "limit", "5001"),
        ("instances", "limit", "50001"),
        ("studies", "offset", "1000001"),
        ("studies", "limit", "-1"),
        ("studies", "limit", "x"),
        ("studies", "limit", ""),
        ("studies", "offset", "1.5"),
        ("studies", "offset", "٣"),
        ("studies", "fuzzymatching", "maybe"),
        ("studies", "StudyDate", "2024"),
        ("studies", "StudyDate", "20240101-2024"),
        ("studies", "StudyDate", "-"),
        ("studies", "StudyTime", "1"),
        ("studies", "StudyInstanceUID", "1.2.*"),
        ("studies", "PatientName", "a\0b"),
        ("instances", "InstanceNumber", "one"),
    ],
)
def test_bad_values_are_refused_by_name(web: Web, path: str, name: str, asked: str) -> None:
    refused(web.get(path, params={name: asked}), "INVALID_ARGUMENT", name)


@pytest.mark.parametrize("text", ["x" * 1025, " ".join(f"w{n}" for n in range(51)), "*" + "?" * 1030])
@pytest.mark.parametrize("fuzzy", ["true", "false"])
def test_texts_that_no_name_can_have(web: Web, text: str, fuzzy: str) -> None:
    refused(web.get("studies", params={"PatientName": text, "fuzzymatching": fuzzy}), "INVALID_ARGUMENT", "PatientName")


def test_the_longest_searches(web: Web) -> None:
    """What is allowed is within what the index can do."""
    assert studies(web, PatientName=" ".join(f"w{n}" for n in range(50)), fuzzymatching="true") == []
    assert studies(web, PatientName="*a?" * 340) == []
    assert studies(web, PatientName="=".join(f"g{n}" for n in range(50))) == []
    assert studies(web, PatientName="=".join("a" * 512)) == []
    assert studies(web, StudyInstanceUID=",".join(f"1.2.{n}" for n in range(1000))) == [B, A, C]
    assert studies(web, StudyDate=["20240101-"] * 50) == [B, A]
    refused(web.get("studies", params={"StudyDate": ["20240101-"] * 51}), "INVALID_ARGUMENT", "conditions")
    refused(web.get("studies", params={"StudyInstanceUID": ",".join(["1.2"] * 1001)}), "INVALID_ARGUMENT", "1000")


@pytest.mark.parametrize("path, limit", [("studies", 5000), ("series", 5000), ("instances", 50000)])
def test_the_greatest_page(web: Web, path: str, limit: int) -> None:
    assert len(web.search(path, limit=limit, offset=1)) > 0


@pytest.mark.parametrize(
    "path, name",
    [
        ("studies", "Foo"),
        ("studies", "PatientWeight"),
        ("studies", "Modality"),
        ("series", "SOPInstanceUID"),
        ("studies", "00101030"),
    ],
)
def test_attributes_that_no_index_serves_are_refused(web: Web, path: str, name: str) -> None:
    """§10.1: the words that clients look for."""
    refused(web.get(path, params={name: "1"}), "INVALID_ARGUMENT", f"unknown/unsupported QIDO attribute: {name}")


def test_parameters_of_every_api_call_are_no_attributes(web: Web) -> None:
    assert studies(web, alt="json", prettyPrint="false", key="t", **{"$.xgafv": "2"}) == [B, A, C]


# Fields ---------------------------------------------------------------------------------------------------------------


def test_more_attributes_of_a_study(web: Web) -> None:
    """§10.4.5"""
    for asked in ("StudyDescription", "00081030", "StudyDescription,InstitutionName", "PatientID, StudyDescription"):
        (found,) = web.search("studies", PatientID="P-001", includefield=asked)
        assert value(found, "00081030") == "CT Brain with contrast"
        assert ("00080080" in found) == ("InstitutionName" in asked)
    (found,) = web.search("studies", PatientID="P-001", includefield=["StudyDescription", "00080080"])
    assert (value(found, "00081030"), value(found, "00080080")) == ("CT Brain with contrast", "St. Elsewhere")
    (found,) = web.search("studies", PatientID="P-001", includefield="all")
    assert value(found, "00080080") == "St. Elsewhere"


def test_more_attributes_of_a_series(web: Web) -> None:
    (found,) = web.search("series", SeriesInstanceUID="1.2.1.1", includefield="BodyPartExamined")
    assert value(found, "00180015") == "HEAD"


def test_any_attribute_of_an_instance(web: Web) -> None:
    """§10.4.7: what the index has no column for comes out of the header."""
    (found,) = web.search("instances", SOPInstanceUID="1.2.1.1.1", includefield="ImageComments,PatientName")
    assert value(found, "00204000") == "first"
    assert value(found, "00100010") == {"Alphabetic": "Müller^Jürgen"}
    assert value(found, SOP_UID) == "1.2.1.1.1"
    (found,) = web.search("instances", SOPInstanceUID="1.2.1.1.1", includefield="00083002")
    assert value(found, "00083002") == "1.2.840.10008.1.2.1"


def test_all_attributes_of_an_instance_are_its_metadata(web: Web) -> None:
    """§10.3.5"""
    (found,) = web.search("instances", SOPInstanceUID="1.2.1.1.1", includefield="all")
    (metadata,) = web.metadata(uid_path(A, "1.2.1.1", "1.2.1.1.1"))
    assert found.items() >= metadata.items()
    counts = {"00080061", "00201206", "00201208", "00201209"}
    assert found.keys() - metadata.keys() == {"00080056", "00081190"} | counts


def test_a_field_that_nobody_knows_is_refused(web: Web) -> None:
    refused(web.get("studies", params={"includefield": "Foo"}), "INVALID_ARGUMENT", "unsupported QIDO attribute: Foo")
    assert web.search("studies", includefield="00080060,00081030")


# The answer -----------------------------------------------------------------------------------------------------------


def test_results_as_xml(web: Web) -> None:
    """PS3.18 §10.6.3.4.1, PS3.19 §A.1: one document for each."""
    found = parts_of(web.get("studies", 'multipart/related; type="application/dicom+xml"'))
    assert [part.type for part in found] == ["application/dicom+xml"] * 3
    assert (
        f'<DicomAttribute tag="0020000D" vr="UI" keyword="StudyInstanceUID"><Value number="1">{B}</Value>'.encode()
        in found[0].data
    )
    assert "<FamilyName>Müller</FamilyName><GivenName>Jürgen</GivenName>".encode() in found[1].data


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", JSON, "image/png, application/*;q=.1", "text/html, */*;q=0.2"]
)
def test_json_is_what_most_clients_get(web: Web, accept: str) -> None:
    response = web.get("studies", accept)
    assert (response.status_code, response.headers["content-type"]) == (200, JSON)


def test_what_cannot_be_made_is_not_acceptable(web: Web) -> None:
    """RFC 9110 §15.5.7"""
    response = web.get("studies", "image/png")
    assert response.status_code == 406
    assert "application/dicom+json" in response.json()["error"]["message"]


def test_a_store_that_is_not_there(gantry: Gantry) -> None:
    response = gantry.request("GET", f"v1/{gantry.dataset}/dicomStores/none/dicomWeb/studies")
    refused(response, "NOT_FOUND", "dicomStores/none")


def test_nothing_found_is_no_content(gantry: Gantry) -> None:
    """§10.1"""
    response = Web(gantry).get("studies")
    assert (response.status_code, response.content) == (204, b"")


def test_names_that_look_like_code_stay_text(gantry: Gantry) -> None:
    web = Web(gantry)
    name = "<script>\"\\^&'%_[a-z]{}"
    web.stored(instance((A, "1.2.1.1", "1.2.1.1.1"), PatientName=name.replace("\\", ""), PatientID='";DROP'))
    (found,) = web.search("studies", PatientID='";DROP')
    assert value(found, "00100010")["Alphabetic"] == name.replace("\\", "")
    assert studies(web, PatientName="*[a-z]*") == [A]
    assert studies(web, PatientName="*[b]*") == []


def test_a_number_of_thousands_of_digits_costs_no_attribute_beside_it(gantry: Gantry) -> None:
    """IS has 12 characters (PS3.5 §6.2); a longer one is no number, and its study and series are found all the same."""
    web = Web(gantry)
    data = instance((A, "1.2.1.1", "1.2.1.1.1"), SeriesNumber=7777, SeriesDescription="axial", StudyDate="20240105")
    long = data.replace(b"IS\x04\x007777", b"IS" + (5000).to_bytes(2, "little") + b"7" * 5000)
    web.stored(long, instance((A, "1.2.1.1", "1.2.1.1.2"), SeriesNumber=3))
    assert studies(web, PatientName="doe^*", StudyDate="20240105") == [A]
    for path, parameters in (
        ("studies", {"includefield": "all"}),
        ("series", {"SeriesDescription": "axial"}),
        ("series", {"includefield": "StudyDescription"}),
        (f"studies/{A}/series", {"includefield": "Laterality"}),
        (f"studies/{A}/series", {"Laterality": "*"}),
        (f"studies/{A}/instances", {"SeriesNumber": "3", "SeriesDescription": "axial"}),
        (f"studies/{A}/instances", {"SamplesPerPixel": "1", "includefield": "all"}),
        (f"studies/{A}/metadata", {}),
    ):
        response = web.get(path, JSON, params=parameters)
        assert response.status_code in (200, 204), response.text
    response = web.get(f"studies/{A}/series", 'multipart/related; type="application/dicom+xml"')
    assert response.status_code == 200 and b"axial" in response.content
    assert gantry.request("GET", f"console/{gantry.store}/studies/{A}").status_code == 200


# Strict mode ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    home = tmp_path_factory.mktemp("strict")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_STRICT_SEARCH": "true"})
    try:
        yield fill(Gantry(server))
    finally:
        server.stop()


def test_strictly_as_google_answers(strict: Web) -> None:
    """§10.4.6: nothing is added."""
    assert strict.search("studies", PatientID="P-001")[0].keys() == GOOGLE_STUDY
    (found,) = strict.search("series", SeriesInstanceUID="1.2.1.2")
    assert found.keys() == {"00080005", "00080060", "0008103E", STUDY_UID, SERIES_UID}
    (found,) = strict.search("instances", SOPInstanceUID="1.2.1.2.1")
    assert "00081190" not in found


def test_strictly_as_google_matches(strict: Web) -> None:
    """§10.4.2: single values and date ranges; a wildcard is a character."""
    assert studies(strict, PatientID="P-001") == [A]
    assert studies(strict, PatientID="P-00*") == []
    assert studies(strict, PatientName="Doe^*") == []
    assert studies(strict, StudyDate="20240101-20240131") == [A]
    assert studies(strict, PatientName="jo", fuzzymatching="true") == [B]
    for name in ("ModalitiesInStudy", "StudyDescription", "StudyTime", "StudyID"):
        refused(strict.get("studies", params={name: "1"}), "INVALID_ARGUMENT", "unsupported QIDO attribute")
    refused(strict.get("studies", params={"StudyInstanceUID": f"{A},{B}"}), "INVALID_ARGUMENT", "no UID")


@pytest.mark.parametrize("fields", ["00080060,00080061,00201206,00201208,00201209", "ModalitiesInStudy", "00081030"])
@pytest.mark.parametrize("path", ["studies", f"studies/{A}/series", "series"])
def test_strictly_the_fields_that_viewers_always_ask_for(strict: Web, path: str, fields: str) -> None:
    """What OHIF asks for in every search is taken; what is not asked for is not there."""
    found = strict.search(path, includefield=fields, StudyInstanceUID=A)[0]
    asked = set(fields.replace("ModalitiesInStudy", "00080061").split(","))
    extra = {"studies": {"00080061", "00201206", "00201208"}}.get(path, {"00201209", "00080060"})
    plain = strict.search(path, StudyInstanceUID=A)[0].keys()
    assert found.keys() - {"00081030"} == plain | (extra & asked)
    if "00201208" in asked and path == "studies":
        assert (values(found, "00080061"), value(found, "00201206"), value(found, "00201208")) == (["CT", "MR"], 2, 3)


@pytest.mark.parametrize(
    "path, name, keyword",
    [
        ("studies/1.2/instances", "SOPClassUID", "SOPClassUID is not a supported instance attribute"),
        ("instances", "00080016", "SOPClassUID is not a supported instance attribute"),
        ("series", "SeriesNumber", "SeriesNumber is not a supported series attribute"),
        ("studies", "00080030", "StudyTime is not a supported study attribute"),
        ("studies", "Modality", "Modality is not a supported study attribute"),
        ("series", "00100030", "PatientBirthDate is not a supported series attribute"),
    ],
)
def test_strictly_a_refused_attribute_is_named_by_its_keyword(strict: Web, path: str, name: str, keyword: str) -> None:
    """§10.1: wsidicom looks for these words in the answer, whether it has sent the keyword or the tag."""
    refused(strict.get(path, params={name: "1"}), "INVALID_ARGUMENT", keyword)
    refused(strict.get(path, params={name: "1"}), "INVALID_ARGUMENT", f"unknown/unsupported QIDO attribute: {name}")


def test_strictly_the_fields_that_google_has(strict: Web) -> None:
    """§10.4.5, §10.1: the answer that wsidicom falls back on."""
    response = strict.get("studies", params={"includefield": "AvailableTransferSyntaxUID"})
    refused(response, "INVALID_ARGUMENT", "unknown/unsupported QIDO attribute: AvailableTransferSyntaxUID")
    assert strict.search("studies", PatientID="P-001", includefield="StudyDescription")[0]["00081030"]
