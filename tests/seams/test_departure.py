"""Pixel work of a client that has gone: what waits is not begun, what lasts is ended."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from gantry.errors import Cancelled, Unavailable
from gantry.executors import WorkerPool
from gantry.studies import pixel_work
from gantry.studies.departure import leave, on_leave, require_client, watch
from gantry.studies.pixel_work import submit, wait_for_pixels
from tests.seams import calls

ROOT = str(Path(__file__).parents[2])
Made = TypeVar("Made")


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerPool]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(pixel_work, "LEFT_SECONDS", 0.2)
    made = WorkerPool(1)
    yield made
    made.end()
    made.shutdown()


def seams_of(pool: WorkerPool) -> Any:
    return SimpleNamespace(pixels=pool, blobs=None)


def begin(pool: WorkerPool, function: Callable[..., Any], path: Path) -> Any:
    """``submit`` with a path in the place of a blob key."""
    row: Any = SimpleNamespace(blob_key=path, size=0)
    return submit(seams_of(pool), row, function)


class Request:
    """A context of its own, as each request has one."""

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(watch)

    def run(self, function: Callable[..., Made], *arguments: Any) -> Made:
        return self.context.copy().run(function, *arguments)

    def leave(self) -> None:
        self.context.run(leave)


def test_outside_a_request_everybody_is_there() -> None:
    leave()
    require_client()


def test_only_the_client_that_left_has_left() -> None:
    one, other = Request(), Request()
    one.leave()
    other.run(require_client)
    with pytest.raises(Cancelled):
        one.run(require_client)


def test_who_waits_for_the_client_to_leave_is_called_once_and_only_within_the_block() -> None:
    calls_made: list[str] = []

    def wait(request: Request, name: str, goes: bool) -> None:
        with on_leave(lambda: calls_made.append(name)):
            if goes:
                request.leave()

    before, within, after = Request(), Request(), Request()
    before.leave()
    before.run(wait, before, "before", False)
    within.run(wait, within, "within", True)
    within.leave()
    after.run(wait, after, "after", False)
    after.leave()
    assert calls_made == ["before", "within"]
    with on_leave(lambda: calls_made.append("nobody")):
        leave()
    assert calls_made == ["before", "within"]


def test_what_waits_is_not_begun_and_what_lasts_is_ended(pool: WorkerPool, tmp_path: Path) -> None:
    first, second = Request(), Request()
    lasting = first.run(begin, pool, calls.wait_for_blob, tmp_path / "never")
    waiting = second.run(begin, pool, calls.touch_blob, tmp_path / "ran")
    errors: list[type[BaseException]] = []

    def wait(request: Request, future: Any) -> None:
        try:
            request.run(wait_for_pixels, future)
        except BaseException as error:
            errors.append(type(error))

    threads = [threading.Thread(target=wait, args=pair) for pair in ((first, lasting), (second, waiting))]
    for thread in threads:
        thread.start()
    while not lasting.running():
        time.sleep(0.01)
    for request in (second, first):
        request.leave()
    for thread in threads:
        thread.join(60)
    assert errors == [Cancelled, Cancelled]
    assert waiting.cancelled() and lasting.done()
    assert pool.submit(calls.add, 1, 2).result(60) == 3
    assert not (tmp_path / "ran").exists()


def test_nothing_is_submitted_for_a_client_that_has_left(pool: WorkerPool, tmp_path: Path) -> None:
    request = Request()
    request.leave()
    with pytest.raises(Cancelled):
        request.run(begin, pool, calls.touch_blob, tmp_path / "ran")
    pool.submit(calls.add, 1).result(60)
    assert not (tmp_path / "ran").exists()


def test_whoever_waits_while_the_server_stops_is_told_so(pool: WorkerPool, tmp_path: Path) -> None:
    lasting = begin(pool, calls.wait_for_blob, tmp_path / "never")
    waiting = begin(pool, calls.touch_blob, tmp_path / "ran")
    pool.end()
    for future in (lasting, waiting):
        with pytest.raises(Unavailable, match="stopping"):
            wait_for_pixels(future)
    with pytest.raises(Unavailable, match="stopping"):
        begin(pool, calls.touch_blob, tmp_path / "ran")
