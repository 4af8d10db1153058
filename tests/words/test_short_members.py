"""DICOM JSON of studies and series comes back as it was, in whatever form it was; what is usual is short."""

from __future__ import annotations

import json
import random

import pytest

from gantry import short_members
from gantry.resources import SeriesAttributes, StudyAttributes
from gantry.short_members import lengthen_series, lengthen_study, shorten

STUDY = StudyAttributes(
    "Doe^Jane",
    "P1",
    "A7",
    "Ref^One",
    "20240105",
    "101500",
    "Old hip",
    "",
    '"00080020":{"vr":"DA","Value":["20240105"]},"00080030":{"vr":"TM","Value":["101500"]},'
    '"00080050":{"vr":"SH","Value":["A7"]},"00080090":{"vr":"PN","Value":[{"Alphabetic":"Ref^One"}]},'
    '"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]},"00100020":{"vr":"LO","Value":["P1"]},'
    '"00100030":{"vr":"DA","Value":["19600102"]},"00100040":{"vr":"CS","Value":["F"]},"00200010":{"vr":"SH"}',
    '"00080080":{"vr":"LO","Value":["Hôpital"]},"00081030":{"vr":"LO","Value":["Old hip"]},'
    '"00101030":{"vr":"DS","Value":[72.5]}',
)
SERIES = SeriesAttributes(
    "CT",
    "3",
    "Axial",
    "",
    '"00080060":{"vr":"CS","Value":["CT"]},"0008103E":{"vr":"LO","Value":["Axial"]},'
    '"00200011":{"vr":"IS","Value":[3]},"00400275":{"vr":"SQ","Value":[{"00400007":{"vr":"LO"}}]}',
    '"00080070":{"vr":"LO","Value":["ACME"]},"00181030":{"vr":"LO"}',
)


def restored(said: StudyAttributes | SeriesAttributes, short: tuple[str, str]) -> tuple[str, str]:
    columns = said._replace(members=short[0], more_members=short[1])
    return lengthen_study(columns) if isinstance(said, StudyAttributes) else lengthen_series(columns)


@pytest.mark.parametrize("said", [STUDY, SERIES, StudyAttributes(), SeriesAttributes()])
def test_members_come_back(said: StudyAttributes | SeriesAttributes) -> None:
    assert restored(said, shorten(said)) == (said.members, said.more_members)


def test_what_columns_say_is_not_said_again() -> None:
    members, more = shorten(STUDY)
    assert "Doe" not in members and "Old hip" not in more
    assert len(members) + len(more) < len(STUDY.members + STUDY.more_members) / 8


def test_what_an_older_version_wrote_is_read_as_it_is() -> None:
    assert lengthen_study(STUDY) == STUDY[-2:]
    assert lengthen_series(SERIES) == (SERIES.members, SERIES.more_members)


@pytest.mark.parametrize(
    "member",
    [
        '"00100010":{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Ideographic":"山田^太郎"}]}',
        '"00100010":{"vr":"PN","Value":[{"Ideographic":"山田^太郎"}]}',
        '"00100010":{"vr":"PN","Value":["Doe^Jane"]}',
        '"00100010":{"vr":"LO","Value":["Doe^Jane"]}',
        '"00100010":{"vr":"PN","Value":[{"Alphabetic":""}]}',
        '"00100010":{"vr":"PN"}',
        '"00100020":{"vr":"LO","Value":["P1","P2"]}',
        '"00100020":{"vr":"LO","Value":[null]}',
        '"00100020":{"vr":"LO","Value":["a\\"b\\\\c,d}]"]}',
        '"00100020":{"vr":"LO","Value":["\\u0002\\u001e"]}',
        '"00100020":{"vr":"LO","Value":[""]}',
        '"00100020":{"vr":"LO","Value":[]}',
        '"00100020":{"vr":"LO","Value":[P1]}',
        '"00100020":{"vr":"LO","Value":["\x02\x1e\x01"]}',
        '"00100020":{"vr":"LO","Value":["\x1d"]}',
        '"00100020":{"vr":"LO", "Value":["P1"]}',
        '"00101030":{"vr":"DS","Value":["72.5"]}',
        '"00091001":{"vr":"UN","InlineBinary":"AAE="}',
        '"00081032":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["CTCH"]}},{}]}',
        "no JSON",
        '"00100020"',
        '"00100020":{"vr":"LO","Value":["P1"]},',
        ",,",
        "\x01\x02",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_whatever_stands_there_comes_back(member: str, place: int) -> None:
    """Alone, before and behind others; where it has no column, one that says something else, or the same."""
    every = [STUDY.members, '"00100040":{"vr":"CS"}']
    every.insert(place, member)
    for text in (member, ",".join(every)):
        for said in (STUDY, StudyAttributes(), StudyAttributes(patient_name="X", patient_id="\x02\x1e\x01")):
            new = said._replace(members=text, more_members=text)
            if not text.startswith("\x01"):  # begins no text that a reader writes
                assert restored(new, shorten(new)) == (text, text)


def test_texts_of_chance_come_back() -> None:
    chance = random.Random(5)
    tags = {tag: element for text in STUDY[-2:] for tag, element in json.loads(f"{{{text}}}").items()}
    for _ in range(2000):
        members = {}
        for tag in chance.sample(sorted(tags), chance.randrange(len(tags))):
            element = dict(tags[tag])
            if chance.random() < 0.5:
                value = "".join(chance.choices('ab",{}[]:\\\x02\x1d\x1e^=é ', k=chance.randrange(4)))
                element["Value"] = chance.choice(([value], [{"Alphabetic": value}], [1.5], [], [value, "x"]))
            members[tag] = element
        text = json.dumps(members, separators=(",", ":"), ensure_ascii=chance.random() < 0.5)[1:-1]
        new = STUDY._replace(members=text, more_members=text, patient_id=chance.choice(("", "ab")))
        assert restored(new, shorten(new)) == (text, text)


def test_long_members_are_not_remembered_by_the_thousand() -> None:
    for number in range(3000):
        long = f'"00081032":{{"vr":"SQ","Value":[{{"00080100":{{"vr":"SH","Value":["{number:05000}"]}}}}]}}'
        assert restored(STUDY, (long, "")) == (long, "") == restored(SERIES, (long, ""))
    for recalled in (short_members._recall_long_study, short_members._recall_long_series):
        assert recalled.cache_info().currsize <= 4
