"""The JSON of results, byte by byte: what studies and series say is written once for all that are below them."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.queries import Level
from gantry.resources import Dataset, DicomStore, SeriesAttributes, StudyAttributes
from gantry.studies import answer_members
from gantry.studies.search import parse_search
from gantry.studies.search_answers import find
from tests.index.values import DATASET, STORE, item, said

WEB = "http://h/dicomWeb"
STUDY = StudyAttributes(
    "Doe^Jöhn",
    study_description="Knee",
    members='"00080020":{"vr":"DA","Value":["20240105"]},"00080201":{"vr":"SH","Value":["+0100"]},'
    '"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^J\\u00f6hn \\"x\\" \\\\"}]},"00100040":{"vr":"CS"}',
    more_members='"00081030":{"vr":"LO","Value":["Knee"]}',
)
ZONE = '"00080201":{"vr":"SH","Value":["+0200"]}'
MODALITY = '"00080060":{"vr":"CS","Value":["CT"]}'
UIDS = (
    '"00080016":{{"vr":"UI","Value":["1.2.840.1"]}},"00080018":{{"vr":"UI","Value":["9.{number}"]}},'
    '"0020000D":{{"vr":"UI","Value":["1.2"]}},"0020000E":{{"vr":"UI","Value":["5.{series}"]}}'
)
NUMBERS = (
    '"00200013":{"vr":"IS","Value":[7]},"00280010":{"vr":"US","Value":[2]},"00280011":{"vr":"US","Value":[3]},'
    '"00280100":{"vr":"US","Value":[8]}'
)
HERE = '"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00080056":{"vr":"CS","Value":["ONLINE"]}'
NAME = '"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jöhn \\"x\\" \\\\"}]}'
COUNTS = '"00080061":{"vr":"CS","Value":["CT"]},"00201206":{"vr":"IS","Value":[2]},"00201208":{"vr":"IS","Value":[3]}'


class _Seams:
    def __init__(self, index: SqlIndex) -> None:
        self.index = index


@pytest.fixture
def seams(index: SqlIndex) -> Any:
    """A study of two series: one of two instances, and one with a time zone of its own."""
    index.resources.create_dataset(Dataset(DATASET), "v1")
    index.resources.create_dicom_store(DicomStore(STORE))
    store_id = index.resources.get_dicom_store(STORE).id
    series = SeriesAttributes("CT", members=MODALITY)
    other = series._replace(members=f"{MODALITY},{ZONE}")
    new = [said(item(number, "1.2", "5.1"), STUDY, series) for number in (1, 2)]
    index.uploads.store_instances(store_id, [*new, said(item(3, "1.2", "5.2"), STUDY, other)])
    return _Seams(index)


def texts(seams: Any, level: Level = Level.INSTANCE, strict: bool = False, **parameters: str) -> list[str]:
    return list(find(seams, STORE, parse_search(level, ResourcePath(""), parameters.items(), strict), WEB).objects)


def address(series: int, number: int) -> str:
    return f'"00081190":{{"vr":"UR","Value":["{WEB}/studies/1.2/series/5.{series}/instances/9.{number}"]}}'


def test_instances_have_what_their_series_and_study_say(seams: Any) -> None:
    zones = '"00080201":{"vr":"SH","Value":["+0100"]},', ""
    expected = [
        f"{{{HERE},{UIDS.format(series=series, number=number)},{NUMBERS},{address(series, number)},{of_series},"
        f'"00080020":{{"vr":"DA","Value":["20240105"]}},{zone}{NAME},"00100040":{{"vr":"CS"}},{COUNTS},'
        f'"00201209":{{"vr":"IS","Value":[{count}]}}}}'
        for series, number, of_series, zone, count in (
            (1, 1, MODALITY, zones[0], 2),
            (1, 2, MODALITY, zones[0], 2),
            (2, 3, f"{MODALITY},{ZONE}", zones[1], 1),
        )
    ]
    assert texts(seams) == expected


def test_instances_in_strict_mode_have_only_their_own(seams: Any) -> None:
    own = UIDS.format(series=2, number=3)
    assert texts(seams, strict=True)[2] == f"{{{HERE},{own},{NUMBERS}}}"


def test_what_was_matched_comes_with_the_study(seams: Any) -> None:
    (first, *_) = texts(seams, StudyDescription="Knee")
    assert f'"00100040":{{"vr":"CS"}},"00081030":{{"vr":"LO","Value":["Knee"]}},{COUNTS}' in first


@pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
def test_a_study_is_parsed_once_for_all_that_is_below_it(
    seams: Any, monkeypatch: pytest.MonkeyPatch, level: Level
) -> None:
    parsed, parse = [], answer_members.parse_json
    monkeypatch.setattr(answer_members, "parse_json", lambda text: parsed.append(text) or parse(text))
    answer_members._recall_study.cache_clear()
    assert len(texts(seams, level)) == (2 if level is Level.SERIES else 3)
    assert len(parsed) == 1


def test_long_members_are_not_remembered_by_the_hundred() -> None:
    """Those of one study may take a megabyte, and several once they are parsed."""
    for number in range(300):
        said = answer_members._read_study(f'"00081030":{{"vr":"LO","Value":["{number:09000}"]}}')
        assert said.elements["00081030"]["Value"] == [f"{number:09000}"]
    assert answer_members._recall_long_study.cache_info().currsize <= 2
