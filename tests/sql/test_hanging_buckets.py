"""Extracts and filter files for a bucket that gives no answer end with an error, and leave their turn to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gantry.errors import Cancelled, DeadlineExceeded, Unavailable
from gantry.query_seams import Query
from gantry.querying import writing
from gantry.querying.extracting import Extract, parse_uri
from gantry.querying.filter_lines import FilterFile, Lines
from gantry.querying.jobs import EXTRACT, Job
from gantry.querying.runner import QueryJobs
from gantry.seams import Seams
from gantry.storage.local import LocalBlobStore
from gantry.storage.sql.engine import LocalQueries
from tests.sql.test_breakages import make_engine
from tests.sql.test_jobs import job, run, wait

pytestmark = pytest.mark.slow

URI = parse_uri("gs://out/rows.csv")


class Hanging(LocalBlobStore):
    """A call of it does not return before ``released``, as on a disk that is gone; then it goes on."""

    def __init__(self, root: Path, call: str, released: threading.Event, begun: threading.Event) -> None:
        super().__init__(str(root), "writer")
        self._call, self._released, self._begun = call, released, begun

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        return super().put(key, self._hang_within(chunks) if self._call == "put" else chunks)

    def _hang_within(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._hang()

    def flush(self) -> None:
        if self._call == "flush":
            self._hang()
        super().flush()

    def _hang(self) -> None:
        self._begun.set()
        assert self._released.wait(60)


class House:
    """Jobs over a bucket that hangs."""

    def __init__(self, engine: LocalQueries, root: Path, call: str) -> None:
        self.root, self.released, self.begun = root, threading.Event(), threading.Event()
        self.is_whole_when_it_hangs = call == "flush"
        root.mkdir()
        seams: Any = SimpleNamespace(queries=engine, bucket=lambda use: Hanging(root, call, self.released, self.begun))
        self.jobs = QueryJobs(cast(Seams, seams), slots=1)

    def extract(self, id: str) -> Job:
        extract = Extract(URI, "p", id)
        query = Query("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 9)) AS n", "p")
        return self.jobs.begin_extract(job(id, kind=EXTRACT), extract, query, None)

    def list_left(self) -> list[str]:
        return [path.name for path in self.root.rglob("*") if path.is_file()]


@pytest.fixture(params=["put", "flush"])
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    engine = make_engine(tmp_path)
    made = House(engine, tmp_path / "out", request.param)
    yield made
    made.released.set()
    made.jobs.close()


def test_an_extract_that_hangs_ends_and_others_get_its_turn(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CALL_SECONDS", -8.0)
    failed = wait(house.jobs, house.extract("hangs")).find_error()
    assert isinstance(failed, DeadlineExceeded)
    assert failed.message.startswith("bucket gs://out has given no answer for")
    assert run(house.jobs, "SELECT 1").error is None


def test_a_filter_file_that_hangs_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    source = run(house.jobs, "SELECT '1.2' AS StudyInstanceUID")
    monkeypatch.setattr(writing, "CALL_SECONDS", -8.0)
    file = FilterFile(URI, "projects/p/locations/l/datasets/d", "f")
    begun = house.jobs.begin_filter(job("f", kind=EXTRACT), file, Lines("study", (0,)), source)
    assert isinstance(wait(house.jobs, begun).find_error(), DeadlineExceeded)


def test_an_extract_that_hangs_hears_a_cancel(house: House) -> None:
    begun = house.extract("hangs")
    assert house.begun.wait(30)
    house.jobs.cancel(begun)
    assert isinstance(wait(house.jobs, begun).find_error(), Cancelled)
    assert run(house.jobs, "SELECT 1").error is None


def test_an_extract_that_hangs_keeps_no_server_from_stopping(house: House) -> None:
    begun = house.extract("hangs")
    assert house.begun.wait(30)
    house.jobs.close()
    assert isinstance(house.jobs.find("somebody", "p", begun.id).find_error(), Unavailable)


def test_what_was_left_behind_and_goes_on_leaves_no_part(house: House) -> None:
    """The caller was told that it failed. What hangs in its last call, when all bytes are written, may end it."""
    begun = house.extract("hangs")
    assert house.begun.wait(30)
    house.jobs.cancel(begun)
    wait(house.jobs, begun)
    house.released.set()
    deadline = time.monotonic() + 30
    while any(thread.name == "call" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    whole = [URI.key] if house.is_whole_when_it_hangs else []
    assert house.list_left() in ([], whole)
