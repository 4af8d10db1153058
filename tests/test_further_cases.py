"""Of a test with many cases the default run has some, and the slow run has the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CASES

pytestmark = pytest.mark.slow

FILE = """
import pytest

@pytest.mark.parametrize("number", range({many}))
def test_many(number): ...

@pytest.mark.parametrize("number", range({few}))
def test_few(number): ...
"""


def list_tests(directory: Path, marks: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:randomly", "-n", "0", "-m", marks]
    command += ["-c", os.devnull, "-p", "tests.conftest", str(directory)]
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120)
    return {line.rpartition("::")[2] for line in done.stdout.splitlines() if "::" in line}


def test_every_case_runs_in_one_of_the_two(tmp_path: Path) -> None:
    many = CASES * 3 + 1
    (tmp_path / "test_cases.py").write_text(FILE.format(many=many, few=CASES))
    default, others = (list_tests(tmp_path, marks) for marks in ("not slow and not further", "further"))
    assert default == {f"test_few[{number}]" for number in range(CASES)} | {
        f"test_many[{number * many // CASES}]" for number in range(CASES)
    }
    assert others == {f"test_many[{number}]" for number in range(many)} - default
