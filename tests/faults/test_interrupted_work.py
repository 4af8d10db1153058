"""A cancel and the end of the server are heard in every phase of every operation, and counts stay exact."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.operations import attempt as attempts
from gantry.operations.attempt import run_operation
from gantry.operations.cancel import cancel
from gantry.operations.commits import Totals
from gantry.operations.import_dicom_data import list_matching
from gantry.operations.interruption import Stopping
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.resources import CANCELLED, Method, Operation
from gantry.seams import Seams
from gantry.storage.local import LocalBlobStore
from gantry.storage.uris import UriPattern
from gantry.worker_calls import Call, CallEnded
from tests.faults.house import DATASET, STORE, House
from tests.support.checked import check_clean

PATCH = [{"op": "add", "path": "/00100010", "value": {"vr": "PN", "Value": [{"Alphabetic": "New"}]}}]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, {"ARCHIVE": str(tmp_path / "archive")})
    yield made
    check_clean(made.data)
    made.close()


class Lasting(Call[Any]):
    """A call that never answers by itself."""

    def __init__(self, began: threading.Event) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        began.set()

    def end(self) -> None:
        self.set_exception(CallEnded("the call was ended"))


class Slow:
    """Workers of which none answers calls of one function; ``began`` is set once one has such a call."""

    def __init__(self, seams: Seams, function: str) -> None:
        self._executor, self._function = seams.executor, function
        self.began = threading.Event()

    def submit(self, function: Callable[..., Any], /, *args: Any, **more: Any) -> Any:
        if getattr(getattr(function, "func", function), "__name__", "") == self._function:
            return Lasting(self.began)
        return self._executor.submit(function, *args, **more)


REQUESTS: dict[str, tuple[Method, dict[str, Any]]] = {
    "ingest_batch": (Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "STANDARD"}),
    "compare_bytes": (Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "STANDARD"}),
    "export_batch": (Method.EXPORT_DICOM_DATA, {"uri_prefix": "gs://source/out", "mime_type": ""}),
    "copy_batch": (Method.SET_BLOB_STORAGE_SETTINGS, {"storage_class": "ARCHIVE"}),
    "update_batch": (Method.UPDATE_STUDY_METADATA, {"patch": PATCH, "web_url": "http://h"}),
}


def create(house: House, function: str) -> Operation:
    if function != "ingest_batch":
        assert house.carry_to_the_end().done
    method, request = REQUESTS[function]
    if function == "update_batch":
        first = next(house.seams.index.instances.walk_store(1))
        request = request | {"path": [first.study_instance_uid, "", ""]}
    if function != "ingest_batch":
        house.created = house.seams.index.operations.create_operation(DATASET, "v1", method, request, str(STORE))
    return house.created


def interrupt(house: House, seams: Seams, began: threading.Event, act: Callable[[threading.Event], None]) -> None:
    """Run the operation, ``act`` once ``began`` is set, and wait until it has ended."""
    stopping, operation = threading.Event(), house.claim("runner")
    thread = threading.Thread(target=run_operation, args=(seams, operation, "runner", stopping, Totals()), daemon=True)
    thread.start()
    assert began.wait(60)
    act(stopping)
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize("function", REQUESTS)
def test_a_cancel_is_heard_while_workers_are_waited_for(house: House, function: str) -> None:
    create(house, function)
    slow: Any = Slow(house.seams, function)
    seams = replace(house.seams, executor=slow)
    interrupt(house, seams, slow.began, lambda _: cancel(house.seams, house.created.name))
    done = house.seams.index.operations.get_operation(house.created.name)
    assert (done.done, done.error) == (True, CANCELLED)
    sweep_garbage(house.seams)
    house.check_disks()


@pytest.mark.slow
@pytest.mark.parametrize("function", REQUESTS)
def test_the_end_of_the_server_is_heard_while_workers_are_waited_for_and_the_next_start_goes_on(
    house: House, function: str
) -> None:
    create(house, function)
    slow: Any = Slow(house.seams, function)
    seams = replace(house.seams, executor=slow)
    interrupt(house, seams, slow.began, threading.Event.set)
    open_ = house.seams.index.operations.get_operation(house.created.name)
    assert not open_.done and not open_.cancel_requested
    finished = house.carry_to_the_end()
    assert finished.done
    if finished.method is Method.IMPORT_DICOM_DATA:
        assert (finished.counter.success, finished.counter.failure) == (house.scene.success, house.scene.failure)
    else:
        assert (finished.counter.failure, finished.counter.pending, finished.error) == (0, 0, None)
    sweep_garbage(house.seams)
    house.check_disks()


def heard(calls: list[int], most: int, error: type[Exception]) -> Callable[[], None]:
    def check() -> None:
        calls.append(1)
        if len(calls) >= most:
            raise error

    return check


def test_a_listing_that_matches_nothing_is_checked_all_along(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number:04d}.txt").touch()
    bucket = LocalBlobStore(str(tmp_path))
    calls: list[int] = []
    assert list(list_matching(bucket, UriPattern.parse("gs://b/**.dcm"), "", heard(calls, 10**6, Stopping))) == []
    assert len(calls) >= 2000 // 64
    with pytest.raises(Stopping):
        list(list_matching(bucket, UriPattern.parse("gs://b/**.dcm"), "", heard([], 20, Stopping)))


@pytest.mark.parametrize("act", ["cancel", "stop"])
def test_an_operation_ends_while_its_listing_still_matches_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """The listing here would never end by itself."""
    began = threading.Event()

    def endless(_self: LocalBlobStore, *asked: Any, check: Any = None) -> Iterator[Any]:
        while True:
            began.set()
            (check or asked[3])()
            yield from ()

    monkeypatch.setattr(LocalBlobStore, "list", endless)
    monkeypatch.setattr(attempts, "sweep_uncommitted", lambda *_: None)
    monkeypatch.setattr("gantry.operations.commits.sweep_at_end", lambda *_: [])
    acts: dict[str, Callable[[threading.Event], None]] = {
        "cancel": lambda _: cancel(house.seams, house.created.name),
        "stop": threading.Event.set,
    }
    interrupt(house, house.seams, began, acts[act])
    operation = house.seams.index.operations.get_operation(house.created.name)
    assert (operation.error == CANCELLED) is (act == "cancel")
    assert operation.done is (act == "cancel")


@pytest.mark.parametrize("act", ["cancel", "stop"])
def test_an_operation_ends_while_a_filter_file_says_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    began = threading.Event()

    def endless(_self: Any) -> Iterator[bytes]:
        while True:
            began.set()
            yield b"\n" * 10

    house.created = create(house, "export_batch")
    house.seams.index.operations.request_cancel(house.created.name)
    request = REQUESTS["export_batch"][1] | {"filter_uri": "gs://source/filter"}
    house.scene._put("filter", b"\n")
    house.created = house.seams.index.operations.create_operation(
        DATASET, "v1", Method.EXPORT_DICOM_DATA, request, str(STORE)
    )
    monkeypatch.setattr("gantry.storage.local_objects.LocalObject.chunks", endless)
    acts: dict[str, Callable[[threading.Event], None]] = {
        "cancel": lambda _: cancel(house.seams, house.created.name),
        "stop": threading.Event.set,
    }
    interrupt(house, house.seams, began, acts[act])
    operation = house.seams.index.operations.get_operation(house.created.name)
    assert (operation.done, operation.error == CANCELLED) == ((act == "cancel"),) * 2


@pytest.mark.slow
def test_the_end_of_the_server_is_heard_while_a_deleted_store_is_swept(house: House) -> None:
    assert house.carry_to_the_end().done
    house.seams.index.resources.delete_dicom_store(STORE)
    stopping = threading.Event()

    class Stops:
        """The server stops with the first blob that goes."""

        def __getattr__(self, name: str) -> Any:
            return getattr(house.seams.blobs, name)

        def delete_prefix(self, prefix: str, start_after: str = "", check: Any = None, before: str = "") -> int:
            stopping.set()
            return house.seams.blobs.delete_prefix(prefix, start_after, check, before)

    blobs: Any = Stops()
    before = house.blobs()
    with pytest.raises(Stopping):
        sweep_stores(replace(house.seams, blobs=blobs), stopping, busy=set())
    assert house.blobs() == before
    sweep_stores(house.seams, threading.Event(), busy=set())
    assert house.blobs() == set()
    house.check_disks()
