"""Queries whose process, disk, table or client goes away: rows of one version and all of them, or a clear error."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gantry.errors import Cancelled, DeadlineExceeded, NotFound, ResourceExhausted, StatusError, Unavailable
from gantry.query_seams import Query
from gantry.querying import job_files
from gantry.querying.job_files import JobFiles, key_of
from gantry.querying.jobs import Job
from gantry.querying.runner import QueryJobs
from gantry.seams import Seams
from gantry.storage.sql.engine import LocalQueries, _Process, _Watch
from gantry.storage.sql.limits import QueryLimits
from tests.faults.mounts import mounted
from tests.sql.tables import make_row, write_table
from tests.sql.test_jobs import NEVER, job, run, wait

pytestmark = pytest.mark.slow

LONG = "SELECT n, REPEAT('x', 1000) AS t FROM UNNEST(GENERATE_ARRAY(1, 400000)) AS n"


def make_engine(tmp_path: Path, **limits: Any) -> LocalQueries:
    root = tmp_path / "tables"
    root.mkdir(exist_ok=True)
    write_table(root)
    return LocalQueries({"p": str(root)}, tmp_path / "spills", QueryLimits(**limits))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalQueries]:
    made = make_engine(tmp_path)
    yield made
    made.close()


def make_jobs(engine: LocalQueries, **more: Any) -> QueryJobs:
    return QueryJobs(cast(Seams, SimpleNamespace(queries=engine)), **more)


def find_processes() -> set[int]:
    """Those of queries that this process has started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"gantry.storage.sql.process" in words and int(parent) == os.getpid():
            found.add(int(path.name))
    return found


def signal_query(engine: LocalQueries, number: int) -> int:
    """The process of the only query that runs gets a signal; its number."""
    spare = engine._spare
    (process,) = find_processes() - ({spare._process.pid} if spare is not None else set())
    os.kill(process, number)
    return process


def test_a_process_that_is_killed_between_two_batches_is_an_error(engine: LocalQueries) -> None:
    with pytest.raises(ResourceExhausted, match="its process has ended"), engine.run(Query(LONG, "p")) as answer:
        next(answer.batches)
        signal_query(engine, signal.SIGKILL)
        for _ in answer.batches:
            pass
    assert os.listdir(engine.directory) == []


def test_rows_of_a_query_that_is_killed_are_not_kept(engine: LocalQueries) -> None:
    jobs = make_jobs(engine)
    begun = jobs.begin_query(job(), Query(LONG, "p"))
    rows = jobs.files.root / key_of("p", "j") / "rows"
    while not (rows.exists() and rows.stat().st_size):
        time.sleep(0.01)
    signal_query(engine, signal.SIGKILL)
    assert isinstance(wait(jobs, begun).find_error(), ResourceExhausted)
    assert not rows.exists()
    jobs.close()


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> list[_Watch]:
    """Those of the queries that run."""
    made = list[_Watch]()

    class Seen(_Watch):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr("gantry.storage.sql.engine._Watch", Seen)
    return made


def test_a_frozen_process_ends_at_its_deadline(engine: LocalQueries, watches: list[_Watch]) -> None:
    with pytest.raises(DeadlineExceeded), engine.run(Query(LONG, "p")) as answer:
        next(answer.batches)
        frozen = signal_query(engine, signal.SIGSTOP)
        watches[0]._deadline = 0.0
        for _ in answer.batches:
            pass
    assert frozen not in find_processes()


def test_a_frozen_process_hears_a_cancel(engine: LocalQueries) -> None:
    jobs = make_jobs(engine)
    begun = jobs.begin_query(job(), Query(NEVER, "p"))
    while not find_processes():
        time.sleep(0.01)
    while jobs.find("somebody", "p", "j").state != "RUNNING" or engine._spare is None:
        time.sleep(0.01)
    signal_query(engine, signal.SIGSTOP)
    jobs.cancel(begun)
    assert isinstance(wait(jobs, begun).find_error(), Cancelled)
    jobs.close()


def test_a_process_that_hangs_in_a_system_call_is_left_behind(
    engine: LocalQueries, watches: list[_Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk that does not answer: not even a kill ends it."""
    left = list[int]()

    def hang(process: Any) -> None:
        left.append(process._process.pid)

    monkeypatch.setattr(_Process, "end", hang)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda _: None)
    with pytest.raises(DeadlineExceeded), engine.run(Query(LONG, "p")) as answer:
        next(answer.batches)
        frozen = signal_query(engine, signal.SIGSTOP)
        watches[0]._deadline = 0.0
        for _ in answer.batches:
            pass
    assert left == [frozen] and frozen in find_processes()
    os.kill(frozen, signal.SIGKILL)


def test_what_waits_for_the_next_query_need_not_be_there(engine: LocalQueries, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> list[Any]:
        with engine.run(Query("SELECT 1", "p")) as answer:
            return [row for batch in answer.batches for row in batch.read()]

    assert ask() == [[1]]
    monkeypatch.setattr("gantry.storage.sql.engine._MAIN", ("/nonexistent",))
    assert ask() == [[1]], "one waited"
    with pytest.raises(Unavailable, match="no query can be started now"):
        ask()


@pytest.mark.parametrize("megabytes", [16])
def test_a_full_disk_for_what_does_not_fit_into_memory_is_said(tmp_path: Path, megabytes: int) -> None:
    text = "SELECT n, REPEAT(CAST(n AS STRING), 40) AS t FROM UNNEST(GENERATE_ARRAY(1, 3000000)) AS n ORDER BY t"
    engine = make_engine(tmp_path, megabytes=128)
    with mounted(tmp_path / "spills", f"size={megabytes}m"):
        with pytest.raises(ResourceExhausted, match="more room on the disk"), engine.run(Query(text, "p")) as answer:
            for _ in answer.batches:
                pass
        with engine.run(Query("SELECT 1", "p")) as answer:
            assert [row for batch in answer.batches for row in batch.read()] == [[1]]
    engine.close()


def test_a_full_disk_for_results_is_said_and_what_is_asked_again_runs(tmp_path: Path) -> None:
    with mounted(tmp_path / "tables", "size=2m"):
        engine = make_engine(tmp_path)
        jobs = make_jobs(engine)
        error = run(jobs, LONG).find_error()
        assert isinstance(error, ResourceExhausted) and "no room for results" in error.message
        assert run(jobs, "SELECT 1", "small").rows == 1
        filler = tmp_path / "tables" / "filler"
        with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(ResourceExhausted):
            jobs.begin_query(job("again"), Query("SELECT 1", "p"))
        filler.unlink()
        assert run(jobs, "SELECT 1", "again").rows == 1
        jobs.close()


def read_all(engine: LocalQueries, query: Query, between: Callable[[], None]) -> list[Any]:
    with engine.run(query) as answer:
        rows = next(answer.batches).read()
        between()
        return rows + [row for batch in answer.batches for row in batch.read()]


def write_many(root: Path, text: str, key: str) -> None:
    rows = [{**make_row(number % 30), "InstanceNumber": text * 1000} for number in range(8000)]
    write_table(root, "p.d.many", rows, key=key)


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_table_that_is_replaced_during_a_query(engine: LocalQueries, tmp_path: Path, is_swept: bool) -> None:
    root = tmp_path / "tables"
    write_many(root, "a", "one")
    (old,) = (root / "d" / ".gantry" / "many").glob("v-one-*[0-9]")

    def replace() -> None:
        write_many(root, "b", "two")
        if is_swept:
            shutil.rmtree(old)

    query = Query("SELECT InstanceNumber FROM d.many", "p")
    try:
        rows = read_all(engine, query, replace)
    except Unavailable as error:
        assert is_swept and "cannot be read now" in error.message
    else:
        assert [*map(tuple, rows)] == [("a" * 1000,)] * 8000


def test_a_job_that_waits_for_its_turn_is_cancelled_at_once(
    engine: LocalQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make_jobs(engine, slots=1)
    first = jobs.begin_query(job("first"), Query(NEVER, "p"))
    second = jobs.begin_query(job("second"), Query("SELECT 1", "p"))
    keep = jobs._keep_end

    def cancel_again(ended: Job) -> None:
        jobs.cancel(second)  # another request, at the same time
        keep(ended)

    monkeypatch.setattr(jobs, "_keep_end", cancel_again)
    jobs.cancel(second)
    monkeypatch.undo()
    assert isinstance(wait(jobs, second).find_error(), Cancelled)
    assert not jobs.find("somebody", "p", "first").ended
    jobs.cancel(first)
    wait(jobs, first)
    assert run(jobs, "SELECT 1", "third").rows == 1
    jobs.close()


def test_only_so_many_run_at_a_time(engine: LocalQueries) -> None:
    jobs = make_jobs(engine, slots=2)
    text = "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 3000)) a, UNNEST(GENERATE_ARRAY(1, 3000)) b"
    most, is_over = 0, threading.Event()

    def look() -> None:
        nonlocal most
        before = set[int]()
        while not is_over.wait(0.01):
            now = find_processes()
            most, before = max(most, len(before & now)), now  # those that were there between two looks

    looking = threading.Thread(target=look)
    looking.start()
    begun = [jobs.begin_query(job(f"j{number}"), Query(text, "p")) for number in range(8)]
    assert [wait(jobs, each).rows for each in begun] == [1] * 8
    is_over.set()
    looking.join()
    assert 2 <= most <= 2 + 1, "and one that waits for the next"
    jobs.close()


def test_a_job_of_a_server_that_was_killed_is_lost_and_its_rows_are_never_shown(
    engine: LocalQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_files, "SURE_SECONDS", 0.0)
    jobs = make_jobs(engine)
    begun = jobs.begin_query(job(), Query(NEVER, "p"))
    while jobs.find("somebody", "p", "j").state != "RUNNING":
        time.sleep(0.01)
    other = make_jobs(engine)
    assert not other.find("somebody", "p", "j").ended, "its server gives signs"
    old = time.time() - 3600
    jobs._is_closing.set()  # no more signs
    while jobs._signs is not None and jobs._signs.is_alive():
        time.sleep(0.01)
    wait(jobs, begun)
    for path in engine_signs(jobs):
        os.utime(path, (old, old))
    error = other.find("somebody", "p", "j").find_error()
    assert isinstance(error, StatusError)
    with pytest.raises(NotFound):
        other.find_result("somebody", "p", key_of("p", "j"))
    jobs.close()
    other.close()


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_jumps_takes_no_job_from_a_server_that_runs_it(
    engine: LocalQueries, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    jobs, other = make_jobs(engine), make_jobs(engine)
    begun = jobs.begin_query(job(), Query(NEVER, "p"))
    real = time.time
    monkeypatch.setattr(job_files.time, "time", lambda: real() + jump)
    for _ in range(3):
        assert not other.find("somebody", "p", "j").ended
        time.sleep(0.05)
    monkeypatch.undo()
    jobs.cancel(begun)
    assert isinstance(wait(jobs, begun).find_error(), Cancelled)
    jobs.close()
    other.close()


def engine_signs(jobs: QueryJobs) -> list[Path]:
    return list(jobs.files.root.glob(".server-*"))


def test_a_server_that_stops_takes_no_more(engine: LocalQueries) -> None:
    jobs = make_jobs(engine)
    jobs.close()
    with pytest.raises(Unavailable, match=r"is being stopped\. Run it again"):
        jobs.begin_query(job(), Query("SELECT 1", "p"))
    assert not jobs.files.root.exists() or not list(jobs.files.root.glob("*/about"))


def test_pages_go_on_with_another_server(engine: LocalQueries) -> None:
    first = make_jobs(engine)
    done = run(first, "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 5000)) AS n ORDER BY n")
    page = first.files.read_rows(done, 0, 2000, 1 << 30)
    first.close()
    other = make_jobs(engine)
    found = other.find("somebody", "p", "j")
    assert found.created == done.created, "tokens are made of it"
    rest = other.files.read_rows(found, len(page), 10_000, 1 << 30)
    assert [row[0] for row in page + rest] == list(range(1, 5001))
    other.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The disk with the jobs gives no answer to who asks whether one is cancelled, before this is set."""
    answers = threading.Event()

    def hang(_files: Any, _job: Job) -> bool:
        answers.wait(60)
        return False

    monkeypatch.setattr(JobFiles, "is_cancelled", hang)
    yield answers
    answers.set()


def test_a_query_ends_at_its_deadline_where_the_disk_of_its_job_gives_no_answer(
    tmp_path: Path, disk: threading.Event
) -> None:
    engine = make_engine(tmp_path, seconds=1)
    jobs = make_jobs(engine)
    assert isinstance(wait(jobs, jobs.begin_query(job(), Query(NEVER, "p"))).find_error(), DeadlineExceeded)
    assert not disk.is_set()
    jobs.close()
    engine.close()


def test_a_disk_that_hangs_while_a_job_begins_keeps_no_server_from_stopping(
    engine: LocalQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, asked, create = threading.Event(), threading.Event(), JobFiles.create

    def hang(files: JobFiles, job: Job) -> None:
        asked.set()
        assert answers.wait(60)
        create(files, job)

    monkeypatch.setattr(JobFiles, "create", hang)
    jobs = make_jobs(engine)
    refused = list[StatusError]()

    def begin() -> None:
        try:
            jobs.begin_query(job(), Query("SELECT 1", "p"))
        except StatusError as error:
            refused.append(error)

    thread = threading.Thread(target=begin)
    thread.start()
    assert asked.wait(30)
    closing = threading.Thread(target=jobs.close)
    closing.start()
    closing.join(30)
    is_closed = not closing.is_alive()
    answers.set()
    thread.join(30)
    closing.join(30)
    assert is_closed and isinstance(refused[0], Unavailable)
    assert not jobs.files.list_kept()
