"""Searches for names of which folding leaves nothing: an accent without a letter, a wide space, a hyphen."""

from __future__ import annotations

from collections.abc import Iterator
from unicodedata import category

import pytest

from gantry.index.sql import SqlIndex
from tests.dicomweb.test_query_grammar import find_names, make_index

MARKS = ("\u037a", "\u00a8", "\u00b4", "\u0301", "\u0345", "\u02da", "\u1fbd", "\u3000", "\u00a0", "\u2017", "-", "...")
OTHERS = (*(f"Other{number}^Name" for number in range(40)), "^Given", "Family^", "Doe - Ann^X", "")
FORMS = ("{}", "{}^Given", "Family^{}", "{}^Given=\u738b^\u5c0f", "A^B={}^\u5c0f")
NAMES = tuple(dict.fromkeys(form.format(mark) for mark in MARKS for form in FORMS)) + OTHERS


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlIndex]:
    made = make_index(tmp_path_factory.mktemp("marks") / "data", NAMES)
    yield made
    made.close()


@pytest.mark.parametrize("mark", MARKS, ids=ascii)
def test_a_mark_is_found_and_does_not_find_everybody(index: SqlIndex, mark: str) -> None:
    """PS3.4 §C.2.2.2.1, §C.2.2.2.4, PS3.18 §8.3.4.2; in full, by fuzzy matching, by wildcards."""
    mine = {form.format(mark) for form in FORMS}
    fuzzy = find_names(index, NAMES, ("PatientName", mark), ("fuzzymatching", "true"))
    assert mine <= fuzzy and not fuzzy & set(OTHERS[:-2])
    for name in mine:
        exact = find_names(index, NAMES, ("PatientName", name))
        assert name in exact and not exact & set(OTHERS[:40]), name
    for pattern in (f"{mark}*", f"*{mark}", f"*{mark}*"):
        found = find_names(index, NAMES, ("PatientName", pattern))
        assert mark in found or category(mark[0]) == "Zs", pattern
        assert not found & set(OTHERS[:40]), pattern
    assert mark in find_names(index, NAMES, ("StudyDescription", mark))


@pytest.mark.parametrize("nobody", ["", "^", " "])
def test_an_empty_name_is_no_condition(index: SqlIndex, nobody: str) -> None:
    """Universal matching (PS3.4 §C.2.2.2.3)."""
    assert find_names(index, NAMES, ("PatientName", nobody), ("fuzzymatching", "true")) == set(NAMES)
