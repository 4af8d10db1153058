"""``./run mutate``: which mutants count as killed, that no file of the tree changes, and what is changed at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from mutation import trial
from mutation.coverage import Coverage, find_lines
from mutation.modules import PARTS, SOURCE, TESTS, find_part
from mutation.recording import BODY, Record
from mutation.trial import PREFIX

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


def mutate(
    tmp_path: Path, *mutants: tuple[int, str], tests: str = "tests/words/test_whole_numbers.py", slow: bool = False
) -> list[str]:
    """What is printed for these mutants of FILE, each a line and the whole source. Its copy of the tree is gone."""
    process = start(tmp_path, *mutants, options=["--tests", tests, "--seconds", "10", *["--slow"] * slow])
    output, _ = process.communicate(timeout=200)
    assert not list_copies(process.pid)
    return [*output.splitlines(), f"exit code {process.returncode}"]


def start(tmp_path: Path, *mutants: tuple[int, str], options: list[str]) -> subprocess.Popen[str]:
    path = str(FILE.relative_to(ROOT))
    lines = [json.dumps({"path": path, "line": line, "source": source}) for line, source in mutants]
    made = tmp_path / "python"
    made.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    made.chmod(0o755)
    environ = os.environ | {"GANTRY_MUTATE_PYTHON": str(made), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mutation", "uris", "--least", "0.7", *options]
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)


def list_copies(maker: int) -> list[Path]:
    places = ("/dev/shm", tempfile.gettempdir())  # noqa: S108
    return [path for place in places for path in Path(place).glob(f"{PREFIX}{maker}-*")]


def list_processes_in(copy: Path) -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(each / "cwd").startswith(str(copy)):
                found.append(each.name)
        except OSError:
            pass  # it has ended
    return found


def test_a_child_that_has_no_group_yet_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal came while it was made."""
    made: list[int] = []

    def wait(child: int, _deadline: float) -> int:
        made.append(child)
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "_run_pytest", lambda *_: signal.pause())
    monkeypatch.setattr(trial, "_wait", wait)
    with pytest.raises(KeyboardInterrupt):
        trial.run_tests(tmp_path, [], 60, None)
    with pytest.raises(ProcessLookupError):
        os.kill(made[0], signal.SIGKILL)


def test_the_copy_of_a_maker_that_was_killed_is_removed(tmp_path: Path) -> None:
    """With what still runs in it; others stay."""
    maker = subprocess.Popen(["true"])
    maker.wait()
    left, used = (tmp_path / f"{PREFIX}{number}-x" for number in (maker.pid, os.getpid()))
    for each in (left, used):
        (each / "tree").mkdir(parents=True)
    running = subprocess.Popen(["sleep", "60"], cwd=left / "tree")
    assert trial.list_left(tmp_path) == [left]
    trial.end_processes_in(left)
    assert running.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_is_ended_leaves_no_tests_and_no_copy_behind(tmp_path: Path, number: signal.Signals) -> None:
    """However often it is told so."""
    endless = FILE.read_text(encoding="utf-8") + "\nwhile True: pass\n"
    tests = ["--tests", "tests/words/test_whole_numbers.py", "--seconds", "300"]
    process = start(tmp_path, (1, endless), options=tests)
    assert process.stdout is not None
    assert "mutants; the tests take" in process.stdout.readline()
    (copy,) = list_copies(process.pid)
    while not list_processes_in(copy):
        time.sleep(0.01)
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.001)
    process.stdout.close()
    assert process.returncode == 128 + number
    assert not list_copies(process.pid) and not list_processes_in(copy)


def test_mutants_are_killed_or_survive_and_the_tree_stays_as_it_is(tmp_path: Path) -> None:
    source = FILE.read_text(encoding="utf-8")
    wrong, same, endless = source + "\nraise SystemError\n", source + "\n# nothing\n", source + "\nwhile True: pass\n"
    unused = source + "\n\ndef unused() -> int:\n    return 1\n"
    lines = mutate(tmp_path, (1, wrong), (1, same), (1, endless), (1, unused))
    place = str(FILE.relative_to(ROOT))
    assert [line.split("  ")[0] for line in lines if f"{place}:1" in line] == [
        *("killed", "survived", "timed out", "survived")
    ]
    assert "+# nothing" in lines and "+def unused() -> int:" in lines
    cells = [line.split() for line in lines[-4:-1]]
    assert cells[0] == ["tried", "killed", "timed", "out", "survived", "not", "run", "score"]
    assert cells[1:] == [[name, "4", "1", "1", "2", "0", "0.50"] for name in (place, "uris")]
    assert lines[-1] == "exit code 1"
    assert FILE.read_text(encoding="utf-8") == source


def test_slow_tests_are_run_where_they_are_asked_for(tmp_path: Path) -> None:
    wrong = (1, FILE.read_text(encoding="utf-8") + "\nraise SystemError\n")
    tests = "tests/test_mutation.py::test_a_file_is_mutated_alone_with_the_tests_of_its_part"
    assert "The tests cannot be run." in mutate(tmp_path, wrong, tests=tests)[-2]
    assert "1 mutants; the tests take" in mutate(tmp_path, wrong, tests=tests, slow=True)[0]


def test_only_tests_that_have_run_the_line_are_run(tmp_path: Path) -> None:
    """Also where a server runs it, and not the process of the tests."""
    source = FILE.read_text(encoding="utf-8")
    inner = 1 + source[: source.index("    return ")].count("\n")
    broken = source.replace("    return ", "    raise SystemError  # ", 1)
    assert "not run" in mutate(tmp_path, (inner, broken), tests="tests/words/test_matching.py")[1]
    assert "killed" in mutate(tmp_path, (inner, broken), tests="tests/api/test_locations_list.py")[1]


def test_a_table_is_tried_by_all_tests_of_the_files_that_use_its_module(tmp_path: Path) -> None:
    """Also by those that only look at it, which run no line of it."""
    tests = [["a.py::calls", 1.0], ["a.py::looks", 1.0], ["b.py::other", 1.0]]
    (tmp_path / "tests").write_text(json.dumps(tests))
    record = Record(tmp_path, {"x.py": 5})
    record.bytes[8 + record.width + record.columns["x.py"] + 5] = BODY
    source = "TABLE = 1\n\n\ndef read():\n    return TABLE\n"
    found = [Coverage(tmp_path).list_tests(Path("x.py"), source, line, 60) for line in (1, 5)]
    assert found == [(["a.py::calls", "a.py::looks"], 2.0), (["a.py::calls"], 1.0)]


TESTS_THAT_RECURSE = """
import pytest, x

def descend():
    descend()

def test_deep():
    with pytest.raises(RecursionError):
        descend()

def test_other():
    assert x.read() == 1
"""


def test_a_test_without_end_of_calls_hides_no_lines_of_the_next_one(tmp_path: Path) -> None:
    """Python forgets whom it tells of lines where that calls too deeply."""
    module, tests = tmp_path / "x.py", tmp_path / "test_x.py"
    module.write_text("TABLE = 1\n\n\ndef read():\n    return TABLE\n")
    tests.write_text(TESTS_THAT_RECURSE)
    Record(tmp_path, {str(module): 5})
    run = f"import pytest, pathlib; from mutation.coverage import Recorder; home = pathlib.Path({str(tmp_path)!r});"
    run += "pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:randomly', str(home)], plugins=[Recorder(home)])"
    environ = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", run], cwd=tmp_path, env=environ, capture_output=True, text=True)
    found, _ = Coverage(tmp_path).list_tests(module, module.read_text(), 5, 60)
    assert [test.rpartition(":")[2] for test in found] == ["test_other"], done.stdout


def test_the_lines_of_a_statement_are_those_without_its_body() -> None:
    source = (
        "A = 1\n\ndef read():\n    if (\n        A\n    ):\n        return [\n            1,\n        ]\n    try:\n"
    )
    source += "        pass\n    except ValueError:\n        pass\n"
    found = {line: list(find_lines(source, line)) for line in range(1, 14)}
    assert found[1] == found[3] == []
    assert found[4] == found[5] == [4, 5, 6] and found[7] == found[8] == [7, 8, 9]
    assert [found[line] for line in (10, 11, 12, 13)] == [[10], [11], [12], [13]]


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
