"""``./run mutate``: which mutants count as killed, that no file of the tree changes, and what is changed at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutation.modules import PARTS, SOURCE, TESTS, find_part

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
MUTATE = Path(os.environ.get("GANTRY_MUTATE_PYTHON", ROOT / ".venv-mutate" / "bin" / "python"))
FILE = ROOT / "src" / "gantry" / "whole_numbers.py"
needs_mutmut = pytest.mark.skipif(not MUTATE.exists(), reason="./run mutate has not been run here: no mutmut")


@pytest.mark.parametrize("name", PARTS)
def test_every_word_of_a_part_is_a_file(name: str) -> None:
    part = PARTS[name]
    for below, words in ((SOURCE, part.files), (TESTS, part.tests)):
        for word in words.split():
            assert list((ROOT / below).glob(word)), word


def test_a_file_is_mutated_alone_with_the_tests_of_its_part() -> None:
    for name in ("src/gantry/ingest.py", "ingest.py"):
        part = find_part(name)
        assert part.list_files(ROOT) == [SOURCE / "ingest.py"]
        assert part.list_tests(ROOT) == PARTS["ingest"].list_tests(ROOT)
    with pytest.raises(KeyError):
        find_part("src/gantry/nothing.py")


def mutate(tmp_path: Path, *sources: str) -> list[str]:
    """What is printed for these mutants of FILE."""
    lines = [json.dumps({"path": str(FILE.relative_to(ROOT)), "line": 1, "source": source}) for source in sources]
    made = tmp_path / "python"
    made.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    made.chmod(0o755)
    command = [sys.executable, "-m", "mutation", "uris", "--tests", "tests/words/test_whole_numbers.py"]
    environ = os.environ | {"GANTRY_MUTATE_PYTHON": str(made), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--seconds", "10", "--least", "0.7"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return [*done.stdout.splitlines(), f"exit code {done.returncode}"]


def test_mutants_are_killed_or_survive_and_the_tree_stays_as_it_is(tmp_path: Path) -> None:
    source = FILE.read_text(encoding="utf-8")
    wrong, same, endless = source + "\nraise SystemError\n", source + "\n# nothing\n", source + "\nwhile True: pass\n"
    lines = mutate(tmp_path, wrong, same, endless)
    place = str(FILE.relative_to(ROOT))
    assert [line.split("  ")[:2] for line in lines if place in line and "  " in line] == [
        ["killed", f"{place}:1"],
        ["time limit", f"{place}:1"],
    ]
    assert "SURVIVES" in lines and "+# nothing" in lines
    assert lines[-2:] == ["uris: 3 mutants, 1 survive, score 0.67", "exit code 1"]
    assert FILE.read_text(encoding="utf-8") == source


SAMPLE = r'''"""A text about it."""
import re

TABLE = {"A": 1, "B": 2}
_NAME = re.compile(r"[a-z]+\d?")
logger = None


def read(text: str = "x") -> int:
    """Read."""
    logger.info("read")
    if text not in TABLE:
        raise ValueError("no such text here")
    try:
        return TABLE[text]
    except KeyError:
        return 0
'''


@needs_mutmut
def test_tables_patterns_statements_and_conditions_are_changed(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE)
    found = set()
    for seed in range(60):
        command = [str(MUTATE), "-m", "mutation.changes", "--seed", str(seed), "--count", "20", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        for line in done.stdout.splitlines():
            found |= set(json.loads(line)["source"].splitlines()) - set(SAMPLE.splitlines())
    wanted = ['TABLE = {"B": 2}', 'TABLE = {"A": 2, "B": 2}', '_NAME = re.compile(r"[^a-z]+\\d?")']
    wanted += ['_NAME = re.compile(r"[a-z]*\\d?")', '_NAME = re.compile(r"[a-z]+\\d")', "    if text in TABLE:"]
    wanted += ["        pass", "        return None", "    if not (text not in TABLE):", "        return 1"]
    assert not set(wanted) - found
    assert not [line for line in found if "logger" in line or "about" in line or "such" in line]
