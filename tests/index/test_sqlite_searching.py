"""How SQLite goes about searches."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gantry.index.sql import SqlIndex
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import Level, Operator
from tests.index.test_searching import Searches, query
from tests.index.test_sqlite import plans
from tests.index.values import STORE


@pytest.fixture
def index(sqlite_index: SqlIndex) -> SqlIndex:
    return sqlite_index


IN_ORDER = [
    (),
    (("study_date", Operator.RANGE, ("20240105", "20240110")),),
    (("study_time", Operator.RANGE, ("08", "10")),),
    (("modalities_in_study", Operator.EQUALS, ("MR",)),),
    (("patient_name", Operator.WILDCARD, "*jo*"),),
]
FOUND_FIRST = [
    (("study_instance_uid", Operator.EQUALS, ("1.3", "1.9")),),
    (("patient_id", Operator.EQUALS, "P003"),),
    (("accession_number", Operator.EQUALS, "A0003"),),
    (("accession_number", Operator.PREFIX, ("A000", "a000")),),
    (("patient_name", Operator.EQUALS, "doe^john"),),
    (("patient_name", Operator.WILDCARD, "doe*"),),
    (("patient_name", Operator.WILDCARD, "*john*"),),
    (("patient_name", Operator.WORDS, ("jo", "ta")),),
    (("study_description", Operator.WILDCARD, "*knee*"),),
    (("modalities_in_study", Operator.WILDCARD, ("s?", "x*")),),
]


class TestSqliteSearching(Searches):
    @pytest.mark.parametrize("matches", IN_ORDER, ids=str)
    def test_long_answers_are_read_in_their_order(
        self, index: SqlIndex, filled: DicomStoreName, matches: tuple[Any, ...]
    ) -> None:
        """However many studies there are, a page costs what it holds: nothing is sorted, nothing read to its end."""
        with plans(index) as steps:
            self.studies(index, *matches)
        assert grows(steps) == []
        assert [step for step in steps if "B-TREE" in step] == []

    @pytest.mark.parametrize("matches", FOUND_FIRST, ids=str)
    def test_what_is_rare_is_looked_up(self, index: SqlIndex, filled: DicomStoreName, matches: tuple[Any, ...]) -> None:
        """Only what was found is sorted."""
        with plans(index) as steps:
            self.studies(index, *matches)
        assert grows(steps) == []
        assert [step for step in steps if step == "SEARCH study USING INDEX study_date (store_id=?)"] == []

    @pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
    @pytest.mark.parametrize("path", [ResourcePath(""), ResourcePath("1.5"), ResourcePath("1.5", "1.5.1")])
    def test_levels_below_are_read_in_their_order(
        self, index: SqlIndex, filled: DicomStoreName, level: Level, path: ResourcePath
    ) -> None:
        with plans(index) as steps:
            search = index.search.search_series if level is Level.SERIES else index.search.search_instances
            search(STORE, query(level, path=path))
            if path.study:
                list(index.instances.list_below(STORE, path))
        assert grows(steps) == []
        assert [step for step in steps if "B-TREE" in step] == []


def grows(steps: list[str]) -> list[str]:
    """Tables read from end to end; a look-up in the full-text index, of trigrams or a row, is called a scan, too."""
    looked_up = re.compile(r"SCAN study_text VIRTUAL TABLE INDEX 0:(M[0-9]|=)|SCAN CONSTANT ROW")
    return [step for step in steps if step.startswith("SCAN") and not looked_up.fullmatch(step)]
