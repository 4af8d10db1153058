"""Series found by when their procedure step began and by their requests, in a whole store (PS3.18 Table 10.6.1-5)."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.server import Json
from tests.support.web import Web, value

REQUESTS = {
    "1.2.1": (("SPS1", "RP1"),),
    "1.2.2": (("SPS1", "RP2"), ("SPS2", "RP1")),
    "1.2.3": (("sps3", ""),),
    "1.2.4": (),
}
STARTS = {
    "1.2.1": ("20240105", "101112"),
    "1.2.2": ("20240106", "1530"),
    "1.2.3": ("", "09"),
    "1.2.4": ("20250101", ""),
}
KEYS = "RequestAttributesSequence.ScheduledProcedureStepID", "RequestAttributesSequence.RequestedProcedureID"
DATE, TIME = "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"


def make_items(*pairs: tuple[str, str]) -> Sequence:
    items = []
    for step, procedure in pairs:
        item = Dataset()
        item.ScheduledProcedureStepID = step
        if procedure:
            item.RequestedProcedureID = procedure
        items.append(item)
    return Sequence(items)


def make_file(series: str, study: str = "1.2") -> bytes:
    date, time = STARTS[series]
    said = {DATE: date, TIME: time, "RequestAttributesSequence": make_items(*REQUESTS[series])}
    return instance((study, series, f"{series}.9"), Modality="CT", **said)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(*map(make_file, REQUESTS))
    return made


def uids(found: list[Json]) -> list[str]:
    return [value(each, "0020000E")[4:] for each in found]


CASES = [
    ({DATE: "20240105"}, "1"),
    ({"00400244": "20240105-20240106"}, "1 2"),
    ({DATE: "20240106-"}, "2 4"),
    ({DATE: "-20240105"}, "1"),
    ({TIME: "1011"}, "1"),
    ({"00400245": "09-10"}, "1 3"),
    ({TIME: "1530-"}, "2"),
    ({DATE: "20240101-20241231", TIME: "12-"}, "2"),
    ({KEYS[0]: "SPS1"}, "1 2"),
    ({"00400275.00400009": "SPS2"}, "2"),
    ({KEYS[0]: "sps1"}, ""),
    ({KEYS[0]: "SPS*"}, "1 2 3"),
    ({KEYS[0]: "*p?3"}, "3"),
    ({KEYS[1]: "RP1"}, "1 2"),
    ({"00400275.00401001": "RP2"}, "2"),
    ({"RequestAttributesSequence.00401001": "RP2"}, "2"),
    ({KEYS[0]: "SPS1", KEYS[1]: "RP1"}, "1"),
    ({KEYS[0]: "SPS1", KEYS[1]: "RP*"}, "1 2"),
    ({KEYS[0]: "SPS2", KEYS[1]: "RP2"}, ""),
    ({KEYS[0]: "SPS1", DATE: "20240106"}, "2"),
    ({KEYS[0]: "SPS1", "Modality": "MR"}, ""),
    ({KEYS[0]: "", KEYS[1]: "RP2"}, "2"),
    ({KEYS[0]: "*"}, "1 2 3 4"),
    ({DATE: ""}, "1 2 3 4"),
    ({TIME: "*"}, "1 2 3 4"),
    ({"RequestAttributesSequence": ""}, "1 2 3 4"),
    ({"StudyInstanceUID": "1.2", KEYS[0]: "SPS1"}, "1 2"),
    ({"StudyInstanceUID": "1.3", KEYS[0]: "SPS1"}, ""),
    ({KEYS[0]: "SPS%"}, ""),
    ({KEYS[1]: "[R]P*"}, ""),
]


@pytest.mark.parametrize("path", ["series", "studies/1.2/series", "instances", "studies/1.2/instances"])
@pytest.mark.parametrize(("wanted", "found"), CASES, ids=str)
def test_series_and_instances_are_found(web: Web, path: str, wanted: dict[str, str], found: str) -> None:
    assert uids(web.search(path, **wanted)) == found.split()


@pytest.mark.parametrize(("name", "wrong"), [(DATE, "2024"), (TIME, "noon"), (TIME, "25a"), (KEYS[0], "a" * 1025)])
def test_wrong_values_are_refused(web: Web, name: str, wrong: str) -> None:
    assert web.get(f"series?{name}={wrong}").status_code == 400


def test_studies_are_not_searched_by_keys_of_series(web: Web) -> None:
    for name in (DATE, TIME, *KEYS):
        answer = web.get(f"studies?{name}=1")
        assert answer.status_code == 400 and "belongs to a series" in answer.text


def test_other_keys_of_the_sequence_are_refused_with_those_that_are_there(web: Web) -> None:
    answer = web.get("series?RequestAttributesSequence.AccessionNumber=1")
    assert answer.status_code == 400 and all(key in answer.text for key in KEYS)


@pytest.mark.parametrize(
    ("step", "procedure"),
    [("S1", ""), ("S2", ""), ("", "R2"), ("s?", "R1"), ("S2", "r*1"), ("S1\\S2", ""), ("S*2", "")],
)
def test_each_of_several_values_of_an_id_is_found_alike(web: Web, step: str, procedure: str) -> None:
    item = Dataset()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = ["S1", "S2"], ["R1", "R2"]
    web.stored(instance(("1.3", "1.3.1", "1.3.1.1"), RequestAttributesSequence=[item]))
    wanted = {key: value for key, value in zip(KEYS, (step, procedure), strict=True) if value}
    whole, below = (web.search(path, StudyInstanceUID="1.3", **wanted) for path in ("series", "studies/1.3/series"))
    assert len(whole) == len(below) == (0 if "\\" in step else 1)
    assert len(web.search("studies/1.3/instances", **wanted)) == len(below)


LETTERS = [
    ("ÄB1", "Ä*"),
    ("äb1", "Ä?1"),
    ("Straße", "*ss*"),
    ("Straße", "STRA*"),
    ("Ωmega", "ω*"),
    ("ﬁnal", "fi*"),
    ("Schädel", "Schä*"),
    ("Schädel", "*SCHADEL*"),
    ("İstanbul", "i*"),
    ("Škoda", "?koda"),
    ("頭部", "頭*"),
    ("Ｋｎｅｅ", "knee*"),
    ("Kopf", "kö*"),  # accents of patterns do not count either
    (" Knee", "k*"),
]


@pytest.mark.parametrize(("text", "pattern"), LETTERS)
def test_wildcards_find_letters_of_all_scripts_in_whole_stores_too(web: Web, text: str, pattern: str) -> None:
    item = Dataset()
    item.ScheduledProcedureStepID = item.RequestedProcedureID = text
    said = {"SeriesDescription": text, "StudyID": text, "RequestAttributesSequence": [item], "Modality": "CT"}
    web.stored(instance(("1.4", "1.4.1", "1.4.1.1"), SpecificCharacterSet="ISO_IR 192", **said))
    wanted = ["1.4.1"]
    for name in ("SeriesDescription", "StudyID", *KEYS):
        for path in ("series", "studies/1.4/series", "instances", "studies/1.4/instances"):
            found = [value(each, "0020000E") for each in web.search(path, **{name: pattern})]
            assert found == wanted, (name, path)


def test_results_have_what_was_matched(web: Web) -> None:
    (found,) = web.search("series", **{KEYS[1]: "RP2"})
    assert value(found, "00400244") == "20240106" and value(found, "00400245") == "1530"
    pairs = [(value(item, "00400009"), value(item, "00401001")) for item in found["00400275"]["Value"]]
    assert pairs == list(REQUESTS["1.2.2"])
    (below,) = web.search("studies/1.2/series/1.2.2/instances", **{KEYS[1]: "RP2"})
    assert below["00400275"] == found["00400275"]


def test_series_follow_their_instances(web: Web) -> None:
    """What a PUT says is found, and what it says no more is not; nor is what was deleted."""
    said = {DATE: "20230101", TIME: "07", "RequestAttributesSequence": make_items(("NEW", "RP9"))}
    beta = Web(web.gantry, "v1beta1")
    assert beta.store(instance(("1.2", "1.2.1", "1.2.1.9"), **said), method="PUT").status_code == 200
    assert uids(web.search("series", **{KEYS[0]: "NEW", DATE: "20230101", TIME: "07"})) == ["1"]
    assert uids(web.search("series", **{KEYS[0]: "SPS1"})) == ["2"]
    web.gantry.request("DELETE", f"{web.root}/studies/1.2/series/1.2.2")
    assert web.search("series", **{KEYS[0]: "SPS1"}) == []
    web.stored(make_file("1.2.2", "1.3"))
    assert uids(web.search("series", **{KEYS[0]: "SPS1"})) == ["2"]
    web.gantry.request("DELETE", f"{web.root}/studies/1.3")
    assert web.search("series", **{KEYS[0]: "SPS1"}) == []
