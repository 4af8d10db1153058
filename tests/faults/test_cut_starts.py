"""A first start, or an upgrade of any older schema, that is killed at any step: the next start works."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import gantry.index
from gantry.index.database import SCHEMA_VERSION
from tests.faults.older import REVISIONS
from tests.support import prepared

ROOT = Path(__file__).parents[2]


def cut(tmp_path: Path, revision: str, how: str, number: int) -> int:
    """Where there is a file system in memory, syncs cost nothing; a kill loses nothing there that it would keep on a
    disk."""
    memory = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as home:
        command = [sys.executable, "-m", "tests.faults.cut", f"{home}/home", revision, how, str(number)]
        done = prepared.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return int(done.stdout.split()[-1])


def test_every_older_schema_is_tried() -> None:
    versions = Path(gantry.index.__file__).parent / "migrations" / "versions"
    assert [*REVISIONS, SCHEMA_VERSION] == sorted(path.name[:4] for path in versions.glob("[0-9]*.py"))


@pytest.mark.parametrize(
    "revision", [*(pytest.param(each, marks=pytest.mark.slow) for each in ("new", "0001")), "0011"]
)
def test_a_start_that_is_cut(tmp_path: Path, revision: str) -> None:
    """At every 13th step; the slow tests cut at each."""
    assert cut(tmp_path, revision, "cuts", 13) > 60


@pytest.mark.slow
@pytest.mark.parametrize(("revision", "every"), [("new", 1), ("0001", 1), *((each, 11) for each in REVISIONS[1:])])
def test_a_start_that_is_cut_at_any_step(tmp_path: Path, revision: str, every: int) -> None:
    """An upgrade from the first schema has every statement of every migration in it."""
    assert cut(tmp_path, revision, "cuts", every) > 60


@pytest.mark.slow
@pytest.mark.parametrize(("revision", "kills"), [("new", 100), *((each, 25) for each in REVISIONS)])
def test_a_start_that_is_killed_at_random_moments(tmp_path: Path, revision: str, kills: int) -> None:
    assert cut(tmp_path, revision, "kills", kills) > kills / 4, "too few kills came in time"
