"""Jobs and their results: how long and how much is kept, what is left of those that fail, how many may wait."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gantry.errors import AlreadyExists, DiskAway, InvalidArgument, NotFound, ResourceExhausted, StatusError
from gantry.query_seams import Batch, Query
from gantry.querying import job_files, runner
from gantry.querying.job_files import JobFiles, key_of
from gantry.querying.jobs import Job
from gantry.querying.runner import QueryJobs
from gantry.seams import Seams
from gantry.storage.sql.engine import LocalQueries
from gantry.storage.sql.limits import QueryLimits
from tests.sql.tables import write_table

NEVER = (
    "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 1000000)) a, UNNEST(GENERATE_ARRAY(1, 1000000)) b "
    "WHERE MOD(a * b, 7) = 3"
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalQueries]:
    (tmp_path / "tables").mkdir()
    write_table(tmp_path / "tables")
    made = LocalQueries({"p": str(tmp_path / "tables")}, tmp_path / "spills", QueryLimits(result_megabytes=1))
    yield made
    made.close()


@pytest.fixture
def jobs(engine: LocalQueries) -> Iterator[QueryJobs]:
    made = QueryJobs(cast(Seams, SimpleNamespace(queries=engine)))
    yield made
    made.close()


def job(id: str = "j", **more: Any) -> Job:
    return replace(Job("p", id, "somebody", "query", {}), **more)


def run(jobs: QueryJobs, text: str, id: str = "j") -> Job:
    begun = jobs.begin_query(job(id), Query(text, "p"))
    return wait(jobs, begun)


def wait(jobs: QueryJobs, begun: Job) -> Job:
    while not jobs.is_over(begun):
        time.sleep(0.02)
    return jobs.find(begun.caller, begun.project, begun.id)


def test_rows_are_read_from_anywhere(jobs: QueryJobs) -> None:
    text = "SELECT n, REPEAT('x', 100) AS t FROM UNNEST(GENERATE_ARRAY(0, 9000)) AS n ORDER BY n"
    done = run(jobs, text)
    assert done.rows == 9001 and done.error is None

    def read(first: int, most: int, most_bytes: int = 1 << 30) -> list[int]:
        return [row[0] for row in jobs.files.read_rows(done, first, most, most_bytes)]

    for first in (0, 1, 4999, 8999, 9000):
        assert read(first, 2) == [n for n in (first, first + 1) if n <= 9000]
    assert read(9001, 5) == read(99_999, 5) == read(0, 0) == []
    assert read(0, 10_000) == list(range(9001))
    assert len(read(10, 10_000, 5_000)) < 100 and read(10, 10_000, 1) == [10]


def test_a_job_that_fails_keeps_no_rows(jobs: QueryJobs) -> None:
    done = run(jobs, "SELECT n, REPEAT('x', 1000) AS t FROM UNNEST(GENERATE_ARRAY(0, 9000)) AS n")
    error = done.find_error()
    assert isinstance(error, ResourceExhausted) and "Response too large" in error.message
    assert os.listdir(jobs.files.root / key_of("p", "j")) == ["about"]
    with pytest.raises(AlreadyExists):
        jobs.begin_query(job(), Query("SELECT 1", "p"))
    with pytest.raises(NotFound):
        jobs.find("somebody-else", "p", "j")


def test_what_is_old_or_too_much_goes_the_oldest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = JobFiles(tmp_path / "jobs", 1000)
    now = time.time()

    def make(id: str, age: float, size: int, ended: bool = True) -> None:
        files.create(job(id, created=now - age, ended=now - age if ended else 0.0, size=size, server="gone"))

    def kept() -> list[str]:
        return [each.id for each in files.list_kept()]

    for id, age, size in (("a", 90_000, 1), ("b", 3000, 600), ("c", 2000, 300), ("d", 1000, 300)):
        make(id, age, size)
    make("left", 100_000, 0, ended=False)
    files.sweep()
    assert kept() == ["c", "d"]
    monkeypatch.setattr(job_files, "MAX_KEPT", 1)
    files.sweep()
    assert kept() == ["d"]
    (files.root / "no-job").mkdir()
    files.touch_server("s")
    for name in ("no-job", ".server-s"):
        os.utime(files.root / name, (now - 90_000, now - 90_000))
    files.touch_server("t")
    files.sweep()
    assert sorted(os.listdir(files.root)) == sorted([key_of("p", "d"), ".server-t"])


def test_only_so_many_wait(jobs: QueryJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MAX_WAITING", 3)
    begun = [jobs.begin_query(job(f"j{number}"), Query(NEVER, "p")) for number in range(3)]
    with pytest.raises(ResourceExhausted, match="too many jobs"):
        jobs.begin_query(job("more"), Query("SELECT 1", "p"))
    for each in begun:
        jobs.cancel(each)
    errors = [wait(jobs, each).find_error() for each in begun]
    assert {error.code.name for error in errors if error} == {"CANCELLED"}
    assert run(jobs, "SELECT 1", "after").rows == 1


def test_a_server_that_stops_ends_its_jobs(engine: LocalQueries) -> None:
    first = QueryJobs(cast(Seams, SimpleNamespace(queries=engine)))
    begun = first.begin_query(job(), Query(NEVER, "p"))
    first.close()
    other = QueryJobs(cast(Seams, SimpleNamespace(queries=engine)))
    error = other.find("somebody", "p", begun.id).find_error()
    assert isinstance(error, StatusError) and "run it again" in error.message.lower()
    other.close()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '{"project": "p"}', '{"fields": 1, "tables": 2}', "\0"])
def test_a_job_that_cannot_be_read_is_none_and_goes_after_a_day(jobs: QueryJobs, text: str) -> None:
    """A power cut has left it, or another version has made it."""
    run(jobs, "SELECT 1", "good")
    made = jobs.files.root / key_of("p", "bad")
    made.mkdir()
    (made / "about").write_text(text)
    with pytest.raises(NotFound, match="Not found: Job p:bad"):
        jobs.find("somebody", "p", "bad")
    assert [each.id for each in jobs.list_jobs("somebody", "p")] == ["good"]
    jobs.files.sweep()
    assert made.exists()
    os.utime(made, (time.time() - 90_000, time.time() - 90_000))
    jobs.files.sweep()
    assert not made.exists()
    assert jobs.find("somebody", "p", "good").rows == 1


def test_a_directory_that_is_away(jobs: QueryJobs, engine: LocalQueries, tmp_path: Path) -> None:
    os.rename(tmp_path / "tables", tmp_path / "away")
    with pytest.raises(DiskAway, match="is not there"):
        jobs.begin_query(job("x"), Query("SELECT 1", "p"))
    with pytest.raises(NotFound):
        jobs.find("somebody", "p", "x")
    with pytest.raises(NotFound), engine.run(Query("SELECT * FROM p.d.t", "p")):
        pass


def test_a_result_is_whole_json(jobs: QueryJobs) -> None:
    done = run(jobs, "SELECT 'a\\nb' AS t, [1, NULL] AS n FROM UNNEST([1, 2])")
    batches: list[Batch] = list(jobs.files.list_batches(done))
    assert [row for batch in batches for row in json.loads(batch.text)] == [["a\nb", [1, None]]] * 2


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def zero(path: Path) -> None:
    """As file systems leave bytes that were not written yet."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [cut, empty, zero], ids=lambda damage: damage.__name__)
def test_a_result_that_a_power_cut_has_taken_is_none(jobs: QueryJobs, damage: Any) -> None:
    """Nothing of it is synced: its state may be there without its rows. A part of them is no result."""
    done = run(jobs, "SELECT n, REPEAT('x', 60) AS t FROM UNNEST(GENERATE_ARRAY(0, 9000)) AS n ORDER BY n")
    damage(jobs.files.root / key_of("p", "j") / "rows")
    for read in (lambda: jobs.files.read_rows(done, 0, 10, 1 << 20), lambda: list(jobs.files.list_batches(done))):
        with pytest.raises(NotFound, match=r"is not kept any more\. Run it again"):
            read()


@pytest.mark.parametrize("damage", [cut, empty, zero], ids=lambda damage: damage.__name__)
def test_pages_of_a_result_without_its_index_are_right(engine: LocalQueries, damage: Any) -> None:
    made = QueryJobs(cast(Seams, SimpleNamespace(queries=replace(engine, limits=QueryLimits()))))
    done = run(made, "SELECT n, REPEAT('x', 500) AS t FROM UNNEST(GENERATE_ARRAY(0, 9000)) AS n ORDER BY n")
    path = made.files.root / key_of("p", "j") / "index"
    assert path.stat().st_size > 3 * 16
    damage(path)
    os.truncate(path, max(0, path.stat().st_size - 3))
    for first in (0, 4000, 8999):
        assert [row[0] for row in made.files.read_rows(done, first, 2, 1 << 20)] == [first, first + 1]
    made.close()


def test_what_cannot_be_removed_stands_in_no_query_s_way(jobs: QueryJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as what another user has put there, or a disk that may not be written for a moment."""
    assert run(jobs, "SELECT 1").error is None
    left = jobs.files.root / ".server-of-yesterday"
    left.touch()
    os.utime(left, (0, 0))

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    jobs._swept = -1e9
    begun = jobs.begin_query(job("k"), Query("SELECT 1", "p"))
    monkeypatch.undo()
    assert wait(jobs, begun).error is None


@pytest.mark.slow
def test_what_was_asked_for_is_bounded(jobs: QueryJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller who asks for much, again and again, fills neither memory nor disk."""
    monkeypatch.setattr(runner, "MAX_CONFIG", 20_000)
    with pytest.raises(InvalidArgument, match="at most 20,000 characters"):
        jobs.begin_query(job(config={"labels": {"a": "x" * 20_000}}), Query("SELECT 1", "p"))
    assert jobs.files.list_kept() == []
    monkeypatch.setattr(job_files, "MAX_ABOUTS", 50_000)
    for number in range(9):
        begun = jobs.begin_query(job(f"j{number}", config={"labels": {"a": "x" * 10_000}}), Query("SELECT 1", "p"))
        assert wait(jobs, begun).error is None
    assert all(each.config == {} for each in jobs.files.list_kept()), "one pass over all of them keeps little"
    listed = jobs.list_jobs("somebody", "p")
    assert [each.id for each in listed] == ["j8", "j7", "j6", "j5"]
    assert all(each.config for each in listed)
    jobs.files.sweep()
    assert [each.id for each in jobs.files.list_kept()] == ["j5", "j6", "j7", "j8"]
