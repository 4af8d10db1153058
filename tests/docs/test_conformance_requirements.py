"""The table of docs/conformance-requirements.md: its rows have the right form, and the tests that they name exist."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conformance-requirements.md").read_text(encoding="utf-8")
STATES = ("met", "deviates", "not there")
SECTION = re.compile(r"(?:8|10)(?:\.[1-9][0-9]?){1,4}")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")


class Row(NamedTuple):
    """``note`` says what happens instead, and by which authority; ``tests`` are the names as they are written."""

    section: str
    requirement: str
    state: str
    note: str
    tests: str


def read_rows(page: str) -> list[Row]:
    """The rows of all tables. Raises TypeError for one with more or fewer cells."""
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| section ")]
    return [Row(*(cell.strip() for cell in line[1:-1].split(" | "))) for line in lines]


def find_faults(row: Row) -> list[str]:
    """What is wrong with the form of a row."""
    tests = row.tests.split(", ") if row.tests else []
    faults = [f"{test} is no test" for test in tests if not NAMED.fullmatch(test)]
    faults += [f"{test} comes twice" for test, count in Counter(tests).items() if count > 1]
    if not SECTION.fullmatch(row.section):
        faults.append("no section of chapter 8 or 10")
    if not row.requirement:
        faults.append("no requirement")
    if row.state not in STATES:
        faults.append(f"{row.state!r} is none of {STATES}")
    if row.state == "met" and not tests:
        faults.append("no test holds it")
    if row.state != "met" and not row.note:
        faults.append("it does not say what happens instead")
    return faults


@cache
def list_tests(path: str) -> frozenset[str]:
    """The test functions of a file, those of classes as ``Class::name``; none if the file does not exist."""
    file = ROOT / path
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    functions = ast.FunctionDef, ast.AsyncFunctionDef
    found = {node.name for node in tree.body if isinstance(node, functions)}
    for each in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        found |= {f"{each.name}::{node.name}" for node in each.body if isinstance(node, functions)}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


ROWS = read_rows(PAGE)


def test_every_row_is_well_formed() -> None:
    assert {row: faults for row in ROWS if (faults := find_faults(row))} == {}
    assert len(ROWS) > 100


def test_sections_are_in_order_and_no_row_comes_twice() -> None:
    places = [tuple(map(int, row.section.split("."))) for row in ROWS]
    assert places == sorted(places)
    assert [row for row, count in Counter(row[:2] for row in ROWS).items() if count > 1] == []


def test_rows_stand_below_the_heading_of_their_section() -> None:
    for part in PAGE.split("\n## ")[1:]:
        heading = part.split()[0]
        assert all(f"{row.section}.".startswith(f"{heading}.") for row in read_rows(part)), heading


@pytest.mark.slow
def test_every_named_test_exists() -> None:
    missing = [f"{path}::{name}" for path, name in NAMED.findall(PAGE) if name not in list_tests(path)]
    assert missing == []


def test_the_counts_are_those_of_the_table() -> None:
    met, deviating, missing = (sum(row.state == state for row in ROWS) for state in STATES)
    assert f"Of {len(ROWS)} requirements {met} are met, {deviating} deviate and {missing} are not there." in PAGE


def test_the_page_is_linked() -> None:
    for page in ("docs/conformance.md", "docs/README.md"):
        assert "conformance-requirements.md" in (ROOT / page).read_text(encoding="utf-8"), page


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (Row("9.1", "x", "met", "", "`tests/a.py::test_b`"), "no section"),
        (Row("10", "x", "met", "", "`tests/a.py::test_b`"), "no section"),
        (Row("10.4.", "x", "met", "", "`tests/a.py::test_b`"), "no section"),
        (Row("10.4", "", "met", "", "`tests/a.py::test_b`"), "no requirement"),
        (Row("10.4", "x", "done", "y", "`tests/a.py::test_b`"), "none of"),
        (Row("10.4", "x", "met", "", ""), "no test"),
        (Row("10.4", "x", "met", "", "test_b"), "is no test"),
        (Row("10.4", "x", "met", "", "`tests/a.py::test_b`, `tests/a.py::test_b`"), "twice"),
        (Row("10.4", "x", "deviates", "", "`tests/a.py::test_b`"), "instead"),
        (Row("10.4", "x", "not there", "", ""), "instead"),
    ],
)
def test_faults_of_a_row_are_found(row: Row, fault: str) -> None:
    assert any(fault in each for each in find_faults(row))
    assert "test_faults_of_a_row_are_found" in list_tests("tests/docs/test_conformance_requirements.py")
    assert "Row" not in list_tests("tests/docs/test_conformance_requirements.py") and not list_tests("tests/none.py")
