"""Texts as long as an attribute that is searched for can be, in characters of four bytes that do not compress."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gantry.describing import describe_header
from gantry.dicom.buffers import Held
from gantry.index.sql import SqlIndex
from gantry.ingest import identify
from gantry.matching import MAX_CODE, MAX_TEXT, split_words
from gantry.names import ResourcePath
from gantry.queries import Level, Match, Operator, Query
from gantry.resources import DicomStore, Method, SeriesAttributes, StudyAttributes
from tests.dicomweb.instances import instance
from tests.index.test_searching import query
from tests.index.values import STORE, item, said

_FIRST, _LAST = 0x20000, 0x2A6D0  # CJK ideographs of extension B
_random = random.Random(5)
STUDY_FIELDS = ("patient_name", "referring_physician_name", "patient_id", "accession_number", "study_description")


def make_text(start: str = "") -> str:
    rest = MAX_TEXT - len(start)
    return start + "".join(chr(code) for code in _random.sample(range(_FIRST, _LAST), rest))


NAME = make_text()
STUDY = StudyAttributes(
    patient_name=NAME,
    patient_id=make_text(),
    accession_number=make_text(),
    referring_physician_name=make_text(),
    study_description=make_text(),
    study_id=make_text(),
)
OTHER = StudyAttributes(*(value and value[:-1] + "x" for value in STUDY))
"""The same up to the last character."""
SERIES = SeriesAttributes(series_number=make_text(), series_description=make_text())


@pytest.fixture
def filled(index: SqlIndex, store: DicomStore) -> SqlIndex:
    """Two studies whose texts have the same beginning."""
    new = [said(item(1, "1.1", "1.1.1"), STUDY, SERIES), said(item(2, "1.2", "1.2.1"), OTHER, SERIES)]
    index.uploads.store_instances(store.id, new)
    return index


def studies(index: SqlIndex, *matches: Any) -> list[str]:
    found = index.search.search_studies(STORE, query(Level.STUDY, *matches, limit=10))
    return sorted(each.study_instance_uid for each in found)


@pytest.mark.parametrize("field", [*STUDY_FIELDS, "study_id"])
def test_the_whole_text_is_compared(filled: SqlIndex, field: str) -> None:
    value = getattr(STUDY, field)
    assert studies(filled, (field, Operator.EQUALS, value)) == ["1.1"]
    assert studies(filled, (field, Operator.EQUALS, getattr(OTHER, field))) == ["1.2"]
    assert studies(filled, (field, Operator.EQUALS, value[:-1])) == []


@pytest.mark.parametrize("field", ["patient_id", "accession_number"])
def test_one_of_many(filled: SqlIndex, field: str) -> None:
    value = getattr(STUDY, field)
    assert studies(filled, (field, Operator.EQUALS, (value, *"abcdefg"))) == ["1.1"]
    assert studies(filled, (field, Operator.EQUALS, tuple("abcdefg"))) == []


@pytest.mark.slow
@pytest.mark.parametrize("field", STUDY_FIELDS)
def test_wildcards(filled: SqlIndex, field: str) -> None:
    value = getattr(STUDY, field)
    assert studies(filled, (field, Operator.WILDCARD, f"{value[:100]}*")) == ["1.1", "1.2"]
    assert studies(filled, (field, Operator.WILDCARD, f"{value[:-2]}*")) == ["1.1", "1.2"]
    assert studies(filled, (field, Operator.WILDCARD, f"*{value[-9:]}")) == ["1.1"]
    assert studies(filled, (field, Operator.WILDCARD, f"{value}*")) == ["1.1"]


@pytest.mark.parametrize("field", ["patient_name", "referring_physician_name"])
def test_words(filled: SqlIndex, field: str) -> None:
    """Of a word its beginning is compared."""
    (word,) = split_words(getattr(STUDY, field))
    assert studies(filled, (field, Operator.WORDS, (word[:20],))) == ["1.1", "1.2"]
    assert "1.1" in studies(filled, (field, Operator.WORDS, (word,)))


def test_a_name_with_groups(index: SqlIndex, store: DicomStore) -> None:
    name = f"Doe={make_text()[:700]}"
    index.uploads.store_instances(store.id, [said(item(1, "1.1", "1.1.1"), StudyAttributes(patient_name=name))])
    for wanted in (name, name[4:], "doe"):
        assert studies(index, ("patient_name", Operator.EQUALS, wanted)) == ["1.1"]
    assert studies(index, ("patient_name", Operator.EQUALS, f"Roe{name[3:]}")) == []


def test_what_is_found_goes_with_its_study(filled: SqlIndex) -> None:
    """The terms are removed as they were written, see ``audit``."""
    filled.deletion.delete_below(STORE, ResourcePath("1.1"), "v1", Method.DELETE_STUDY)
    assert studies(filled, ("patient_name", Operator.EQUALS, NAME)) == []


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:A value of type", "ignore:The value length")
def test_codes_dates_and_times_are_compared_by_their_beginning(index: SqlIndex, store: DicomStore) -> None:
    """Each stands in a key beside others. No valid one is as long."""
    text = "CT" + "".join(_random.choices("ABCDEFGH0123", k=MAX_TEXT))
    names = ("StudyDate", "StudyTime", "Modality", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime")
    data = instance(("1.1", "1.1.1", "1.1.1.1"), **dict.fromkeys(names, text))
    header = identify(Held(data), "k", len(data), "STANDARD", "r").header_bytes
    assert header is not None
    read = describe_header(header)
    begins = text[:MAX_CODE]
    assert (read.study.study_date, read.study.study_time) == (begins, begins)
    assert (read.series.modality, read.series.start_date) == (begins, begins)
    index.uploads.store_instances(store.id, [said(item(1, "1.1", "1.1.1"), read.study, read.series)])
    for wanted in (text, begins):
        assert studies(index, ("study_date", Operator.EQUALS, wanted)) == ["1.1"]
        assert studies(index, ("modalities_in_study", Operator.EQUALS, wanted)) == ["1.1"]
        for field in ("modality", "start_date", "start_time"):
            match = Match(Level.SERIES, field, Operator.EQUALS, (wanted,))
            assert len(index.search.search_series(STORE, Query(Level.SERIES, ResourcePath(""), (match,), limit=9))) == 1
