"""What is short is answered while all threads for what is long are taken; what a client has left is not begun."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gantry import server
from gantry.api import app, intake, stream_configs
from gantry.api.lanes import SLOTS, Lane, Lanes
from gantry.errors import NotFound
from gantry.querying.job_files import JobFiles
from gantry.storage.local_writer import LocalWriter
from gantry.storage.warehouse.directories import LocalWarehouse
from tests.support.databases import make_settings
from tests.support.dicom import make_instance

DATASET = "/v1/projects/p/locations/us-central1/datasets/d"
STORE = f"{DATASET}/dicomStores/s"
STUDIES = f"{STORE}/dicomWeb/studies"
INSTANCE = f"{STUDIES}/1.2/series/1.2.3/instances/1.2.3.4"
OPERATION = f"{DATASET}/operations/1"
DICOM = {"content-type": "application/dicom"}
READS = (STORE, f"{STORE}:getIamPolicy", f"{STUDIES}/1.2/metadata", f"{INSTANCE}/metadata", "/readyz", "/console/")
SEARCHES = (f"{STUDIES}?limit=1", f"{STORE}/dicomWeb/instances?limit=1")
FILES = (INSTANCE, f"{STUDIES}/1.2")
ANY = {"accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
SECONDS = 60.0
"""Much longer than an answer takes, and much shorter than a thread would be waited for that never comes."""


@pytest.fixture
def gantry(tmp_path: Path) -> Iterator[server.Gantry]:
    settings = make_settings(tmp_path / "data", auth="none", workers=1)
    with server.open_server(settings, server.Edge(settings)) as made:

        async def prepare(client: httpx.AsyncClient) -> None:
            await client.post(f"{DATASET.rpartition('/')[0]}?datasetId=d")
            await client.post(f"{STORE.rpartition('/')[0]}?dicomStoreId=s")
            data = make_instance("1.2", "1.2.3", "1.2.3.4")
            assert (await client.post(STUDIES, content=data, headers=DICOM)).status_code == 200

        run(made, prepare)
        yield made


def run(gantry: server.Gantry, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def begin() -> Any:
        transport = httpx.ASGITransport(gantry.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await asyncio.wait_for(work(client), SECONDS)

    return asyncio.run(begin())


def _all_but(lane: Lane) -> tuple[Lane, ...]:
    return tuple(each for each in Lane if each is not lane)


@contextmanager
def take(gantry: server.Gantry, *lanes: Lane) -> Iterator[None]:
    """All threads of these lanes are busy during the block."""
    end, tasks = threading.Event(), []
    for lane in lanes:
        pool = gantry.app._lanes._pools[lane]
        tasks += [pool.submit(end.wait, 2 * SECONDS) for _ in range(pool._max_workers)]
    try:
        yield
    finally:
        end.set()
        wait(tasks)


@pytest.mark.parametrize(
    ("full", "paths"),
    [
        (_all_but(Lane.READ), ("/healthz", *READS)),
        (_all_but(Lane.SEARCH), ("/healthz", *SEARCHES)),
        (_all_but(Lane.LONG), ("/healthz", *FILES)),
        (tuple(Lane), ("/healthz",)),
    ],
)
def test_no_lane_waits_for_another(gantry: server.Gantry, full: tuple[Lane, ...], paths: tuple[str, ...]) -> None:
    async def work(client: httpx.AsyncClient) -> list[int]:
        with take(gantry, *full):
            return [(await client.get(path, headers=ANY if path in FILES else {})).status_code for path in paths]

    assert run(gantry, work) == [200] * len(paths)


@pytest.mark.parametrize(
    ("lane", "verb", "path"),
    [
        *((Lane.READ, "GET", path) for path in (STORE, OPERATION, f"{STUDIES}/1.2/metadata", "/console/", "/metrics")),
        *((Lane.SEARCH, "GET", path) for path in SEARCHES),
        *((Lane.PICTURE, "GET", f"{INSTANCE}/{kind}") for kind in ("rendered", "thumbnail", "frames/1/rendered")),
        *((Lane.LONG, "GET", path) for path in (*FILES, f"{INSTANCE}/frames/1", f"{INSTANCE}/bulkdata/7FE00010")),
        (Lane.WRITE, "DELETE", f"{STUDIES}/9.9"),
        (Lane.WRITE, "PATCH", f"{STORE}?updateMask=labels"),
        (Lane.TABLE, "GET", "/bigquery/v2/projects/p/jobs"),
        (Lane.TABLE, "GET", "/bigquery/v2/projects/p/datasets/d/tables/t"),
        (Lane.TABLE, "POST", "/bigquery/v2/projects/p/queries"),
        (Lane.TABLE, "GET", f"/console{STORE.removeprefix('/v1')}/query"),
        (Lane.TABLE, "POST", f"/console{STORE.removeprefix('/v1')}/query/j/cancel"),
        (Lane.SIGN_IN, "GET", "/sign-in"),
        (Lane.SIGN_IN, "POST", "/token"),
    ],
)
def test_each_request_has_its_lane(
    gantry: server.Gantry, monkeypatch: pytest.MonkeyPatch, lane: Lane, verb: str, path: str
) -> None:
    assert _lanes_of(gantry, monkeypatch, verb, path) == [lane]


def test_a_search_that_reads_all_headers_of_a_study_leaves_the_lane_of_searches(
    gantry: server.Gantry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{STUDIES}/1.2/instances?ProtocolName=x"
    assert _lanes_of(gantry, monkeypatch, "GET", path) == [Lane.SEARCH, Lane.LONG]


def _lanes_of(gantry: server.Gantry, monkeypatch: pytest.MonkeyPatch, verb: str, path: str) -> list[Lane]:
    """Of the threads that a request is answered in."""
    used: list[Lane] = []

    async def run_in(lanes: Lanes, lane: Lane, work: Callable[..., Any], *arguments: Any) -> Any:
        used.append(lane)
        return await run_in_lane(lanes, lane, work, *arguments)

    run_in_lane = Lanes.run
    monkeypatch.setattr(Lanes, "run", run_in)
    run(gantry, lambda client: client.request(verb, path, json={"labels": {}} if verb == "PATCH" else None))
    return used


@pytest.mark.parametrize(
    ("lane", "path"),
    [
        (Lane.READ, STORE),
        (Lane.READ, "/console/"),
        (Lane.SEARCH, STUDIES),
        (Lane.PICTURE, f"{INSTANCE}/rendered"),
        (Lane.LONG, INSTANCE),
    ],
)
def test_what_waits_for_a_thread_is_not_begun_once_its_client_has_left(
    gantry: server.Gantry, monkeypatch: pytest.MonkeyPatch, lane: Lane, path: str
) -> None:
    begun = []
    for name in ("_begin", "_begin_json", "_show"):
        monkeypatch.setattr(app, name, lambda *_, name=name: begun.append(name))

    async def work(client: httpx.AsyncClient) -> list[Any]:
        sent: list[Any] = []

        async def leave() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
            "scheme": "http", "http_version": "1.1", "root_path": "",
        }  # fmt: skip
        with take(gantry, lane):
            await gantry.app(scope, leave, send)
        return sent

    assert run(gantry, work)[0]["status"] == 499
    assert not begun


def test_a_thread_takes_the_next_of_its_lane_while_the_event_loop_is_busy() -> None:
    """A busy loop would otherwise limit how much short work a lane does."""
    done = threading.Semaphore(0)

    async def work() -> None:
        lanes = Lanes(1)
        count = 3 * SLOTS[Lane.READ]
        waiting = [asyncio.ensure_future(lanes.run(Lane.READ, done.release)) for _ in range(count)]
        await asyncio.sleep(0)
        for _ in range(count):
            assert done.acquire(timeout=SECONDS)  # the event loop stands still meanwhile
        await asyncio.gather(*waiting)

    asyncio.run(work())


@pytest.mark.slow
def test_whoever_is_cancelled_leaves_the_queue_and_waits_for_what_has_begun() -> None:
    begun, end = threading.Event(), threading.Event()
    ended: list[Any] = []
    problems: list[Any] = []

    def hold() -> None:
        begun.set()
        end.wait(SECONDS)
        ended.append(True)
        raise NotFound("nobody waits for this any more")

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
        lanes = Lanes(1)
        held = [asyncio.ensure_future(lanes.run(Lane.READ, hold)) for _ in range(SLOTS[Lane.READ])]
        await asyncio.to_thread(begun.wait, SECONDS)
        queued = asyncio.ensure_future(lanes.run(Lane.READ, ended.append, "queued"))
        await asyncio.sleep(0.05)
        queued.cancel()
        held[0].cancel()
        await asyncio.wait([queued])
        assert queued.cancelled() and not held[0].done()
        end.set()
        await asyncio.wait(held)
        assert held[0].cancelled() and ended == [True] * len(held)
        assert all(isinstance(each.exception(), NotFound) for each in held[1:])

    asyncio.run(work())
    gc.collect()
    assert not problems


@pytest.mark.parametrize("error", [StopIteration("the last"), KeyError("none"), NotFound("none")], ids=repr)
def test_whatever_work_raises_ends_the_wait_for_it(error: Exception) -> None:
    def fail() -> None:
        raise error

    async def work() -> None:
        with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
            await asyncio.wait_for(Lanes(1).run(Lane.READ, fail), SECONDS)

    asyncio.run(work())


def test_an_upload_has_no_slot_among_those_that_work_while_the_disk_is_waited_for(
    gantry: server.Gantry, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots: list[int] = []
    flush, read = LocalWriter.flush, intake._Reader.read

    def count(*_: Any) -> None:
        slots.append(gantry.app._intake._working.borrowed_tokens)

    def flush_and_count(writer: LocalWriter) -> None:
        count()
        flush(writer)

    def read_and_count(reader: Any) -> bytes:
        count()
        return read(reader)

    monkeypatch.setattr(LocalWriter, "flush", flush_and_count)
    monkeypatch.setattr(intake._Reader, "read", read_and_count)

    async def work(client: httpx.AsyncClient) -> None:
        data = make_instance("1.2", "1.2.3", "1.2.3.5")
        assert (await client.post(STUDIES, content=data, headers=DICOM)).status_code == 200

    run(gantry, work)
    assert slots[0] == 1 and slots[-1] == 0
    assert gantry.app._intake._working.borrowed_tokens == 0


def test_a_disk_of_tables_that_gives_no_answer_keeps_no_other_request_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are kept on it: queries, and looks at them, wait for it."""
    root, answers = tmp_path / "tables", threading.Event()
    root.mkdir()
    settings = make_settings(tmp_path / "data", auth="none", workers=1, bigquery={"p.d": str(root)})

    def hang(*_: Any) -> Any:
        answers.wait(2 * SECONDS)
        raise NotFound("nothing")

    monkeypatch.setattr(JobFiles, "create", hang)
    monkeypatch.setattr(JobFiles, "read", hang)

    async def work(client: httpx.AsyncClient) -> list[int]:
        await client.post(f"{DATASET.rpartition('/')[0]}?datasetId=d")
        await client.post(f"{STORE.rpartition('/')[0]}?dicomStoreId=s")
        jobs = "/bigquery/v2/projects/p"
        query = {"query": "SELECT 1", "useLegacySql": False}
        waiting = [asyncio.create_task(client.post(f"{jobs}/queries", json=query)) for _ in range(20)]
        waiting += [asyncio.create_task(client.get(f"{jobs}/jobs/j")) for _ in range(20)]
        await asyncio.sleep(0.5)
        data = make_instance("1.2", "1.2.3", "1.2.3.4")
        found = [(await client.post(STUDIES, content=data, headers=DICOM)).status_code]
        found.append((await client.patch(f"{STORE}?updateMask=labels", json={"labels": {}})).status_code)
        found += [(await client.get(path)).status_code for path in READS]
        answers.set()
        await asyncio.gather(*waiting)
        return found

    with server.open_server(settings, server.Edge(settings)) as made:
        assert run(made, work) == [200] * (2 + len(READS))


def test_a_table_whose_disk_gives_no_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, answers = tmp_path / "tables", threading.Event()
    root.mkdir()
    settings = make_settings(tmp_path / "data", auth="none", workers=1, bigquery={"p.d": str(root)})
    monkeypatch.setattr(stream_configs, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(LocalWarehouse, "_find_place", lambda *_: answers.wait(2 * SECONDS))

    async def work(client: httpx.AsyncClient) -> httpx.Response:
        await client.post(f"{DATASET.rpartition('/')[0]}?datasetId=d")
        await client.post(f"{STORE.rpartition('/')[0]}?dicomStoreId=s")
        streams = [{"bigqueryDestination": {"tableUri": "bq://p.d.t"}}]
        answer = await client.patch(f"{STORE}?updateMask=streamConfigs", json={"streamConfigs": streams})
        answers.set()
        return answer

    with server.open_server(settings, server.Edge(settings)) as made:
        answer = run(made, work)
    assert answer.status_code == 504 and "bq://p.d.t has given no answer" in answer.text
