"""The grammar of searches (PS3.18 §8.3.4, PS3.4 §C.2.2.2), driven by Hypothesis."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gantry.errors import InvalidArgument
from gantry.header_packs import pack
from gantry.index.sql import SqlIndex
from gantry.matching import search_key, split_words
from gantry.names import ResourcePath
from gantry.queries import Level
from gantry.resources import Dataset, Description, DicomStore, Instance, SeriesAttributes, StudyAttributes
from gantry.studies.search import MAX_OFFSET, parse_search
from tests.index.values import DATASET, STORE
from tests.support.databases import index_url

KNOWN = (
    *(
        "PatientName",
        "00100010",
        "PatientID",
        "StudyDate",
        "StudyTime",
        "StudyInstanceUID",
        "ModalitiesInStudy",
        "Modality",
    ),
    *("SeriesInstanceUID", "SOPInstanceUID", "InstanceNumber", "StudyDescription", "limit", "offset", "fuzzymatching"),
    *("includefield", "alt", "Foo", "00101010", "RequestAttributesSequence.ScheduledProcedureStepID"),
    *("AcquisitionDateTime", "SliceThickness", "PersonName", "ContentTime", "PixelData", "00400275.00400275.00080018"),
)
TEXT = st.text(st.sampled_from("01289ab,.-\\*?^= \0é'\"%[]{}"), max_size=12) | st.text(max_size=6)
ROOT = ResourcePath("")
PACK = pack([b"x"])


@pytest.mark.slow
@settings(max_examples=600)
@given(
    st.sampled_from(Level),
    st.sampled_from([ROOT, ResourcePath("1.2"), ResourcePath("1.2", "1.3")]),
    st.lists(st.tuples(st.sampled_from(KNOWN) | TEXT, TEXT), max_size=4),
    st.booleans(),
)
def test_any_parameters_are_a_query_or_refused(
    level: Level, path: ResourcePath, parameters: list[tuple[str, str]], strict: bool
) -> None:
    try:
        search = parse_search(level, path, parameters, strict)
    except InvalidArgument as error:
        assert error.message
        return
    assert 0 <= search.query.limit <= 50_000 and 0 <= search.query.offset <= MAX_OFFSET
    for match in search.query.matches:
        assert match.values or match.operator == "words"
        assert match.level == "study" or level != Level.STUDY
    assert not search.inside or (path.study and not strict)
    for found in (None, "", "x", 1, 1.5, {"Alphabetic": "a^b"}, {}, [], {"x": None}):
        assert all(each.matches(found) in (True, False) for each in search.inside)


@settings(max_examples=300)
@given(st.dates(), st.dates())
def test_ranges_of_dates(first: object, last: object) -> None:
    """PS3.4 §C.2.2.2.5.1"""
    one, other = (str(day).replace("-", "") for day in (first, last))
    for text, values in (
        (f"{one}-{other}", (one, other)),
        (f"{one}-", (one, "")),
        (f"-{one}", ("", one)),
        (one, (one, one)),
    ):
        (match,) = parse_search(Level.STUDY, ROOT, [("StudyDate", text)], False).query.matches
        assert match.values == values


NAMES = (
    *("Doe^John", "doe^jane", "DOE^J", "Müller^Jörg", "O'Neil^Ann", "van der Berg^Jo", "a*b", "[x]^y", "X", "Ångström"),
    *("Doe^John^^^", "Łukasz^Ó", "王^小东", "doe 王 x", "Люк^Б", "ab", "aab", "bbaa", "^^a", "a b", "%_^", 'a"""b'),
)


def make_index(data: Path, names: Sequence[str]) -> SqlIndex:
    """A study for each name, which is its description as well; the last number of its UID is the name's place."""
    made = SqlIndex(index_url(data))
    made.resources.create_dataset(Dataset(DATASET), "v1")
    made.resources.create_dicom_store(DicomStore(STORE))
    for number, name in enumerate(names):
        said = StudyAttributes(patient_name=name, study_description=name)
        described = Description(said, SeriesAttributes(), None, None, None, None, None, PACK, 1, 0, 1)
        item = Instance(f"1.{number}", "1.1", "1.1", "1.2", "1.2", f"b/{number}", 1, description=described)
        made.uploads.store_instances(made.resources.get_dicom_store(STORE).id, [item])
    return made


def find_names(index: SqlIndex, names: Sequence[str], *parameters: tuple[str, str]) -> set[str]:
    search = parse_search(Level.STUDY, ROOT, (*parameters, ("limit", "5000")), False)
    return {
        names[int(row.study_instance_uid.split(".")[1])] for row in index.search.search_studies(STORE, search.query)
    }


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlIndex]:
    made = make_index(tmp_path_factory.mktemp("grammar") / "data", NAMES)
    yield made
    made.close()


def found(index: SqlIndex, *parameters: tuple[str, str]) -> set[str]:
    return find_names(index, NAMES, *parameters)


def matches(pattern: str, text: str) -> bool:
    """What the standard says of ``*`` and ``?``, on folded text."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in search_key(pattern))
    return re.fullmatch("".join(parts), search_key(text), re.DOTALL) is not None


PATTERN = st.text(st.sampled_from("*?adeojnbx^ [']%_ÖöÅ王Л"), min_size=1, max_size=7)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATTERN)
@example("王*")
@example("*doe*王*")
@example("*王?小东")
@example('*"""*')
def test_wildcards_find_what_the_standard_says(index: SqlIndex, pattern: str) -> None:
    """PS3.4 §C.2.2.2.4, whichever way it is looked up: term, trigram or study by study."""
    if not {"*", "?"} & set(pattern) or not pattern.strip("*") or not search_key(pattern):
        return
    expected = {name for name in NAMES if matches(pattern, name.rstrip("^ "))}
    assert found(index, ("PatientName", pattern)) == expected
    expected = {name for name in NAMES if matches(pattern, name)}
    assert found(index, ("StudyDescription", pattern)) == expected


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([name for name in NAMES if not {"*", "?"} & set(name)]), st.integers(1, 4))
def test_fuzzy_words_are_beginnings(index: SqlIndex, name: str, length: int) -> None:
    """§10.4.3"""
    asked = [word[:length] for word in split_words(name)]
    expected = {each for each in NAMES if any(word.startswith(tuple(asked)) for word in split_words(each))}
    if asked:
        assert found(index, ("PatientName", " ".join(asked)), ("fuzzymatching", "true")) == expected
