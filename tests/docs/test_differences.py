"""docs/differences.md: each row names a test that is there."""

from __future__ import annotations

import re

from tests.docs.named_tests import ROOT, is_there

PAGE = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
HEAD = "| | Google | Gantry | why | test |"
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and line != HEAD]


def test_each_row_names_one_test_that_is_there() -> None:
    for row in ROWS:
        ((name, path),) = re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", row)
        assert is_there(path, name), f"{path} has no {name}: {row}"


def test_each_row_says_what_each_does() -> None:
    assert len(ROWS) > 60
    for row in ROWS:
        cells = [cell.strip() for cell in row.split(" | ")]
        assert len(cells) == 5 and all(cell.strip("| ") for cell in cells), row
    subjects = [row.split(" | ")[0] for row in ROWS]
    assert len(set(subjects)) == len(subjects)
