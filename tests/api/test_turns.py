"""Of the requests that may be long one begins in each turn of the event loop; short ones wait for none of them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx
import pytest

from gantry import server
from gantry.api import app
from gantry.api.turns import Turns
from gantry.api.visit import Visit
from tests.api.test_lanes import ANY, DICOM, INSTANCE, OPERATION, STORE, STUDIES, gantry, run

__all__ = ["gantry"]
MANY = 50
FEW = 5
"""Turns of the event loop that a short answer takes at most, when no thread is needed for it."""


def test_one_begins_in_each_turn_and_in_order() -> None:
    async def work() -> list[list[int]]:
        turns, begun = Turns(), list[int]()

        async def begin(number: int) -> None:
            await turns.take()
            begun.append(number)

        tasks = [asyncio.ensure_future(begin(number)) for number in range(MANY)]
        seen = []
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            seen.append(list(begun))
        return seen

    seen = asyncio.run(work())
    assert seen[-1] == list(range(MANY))
    assert all(len(after) - len(before) <= 1 for before, after in pairwise(seen))


def test_whoever_has_left_is_passed_over_and_takes_no_turn() -> None:
    async def work() -> None:
        turns = Turns()
        await turns.take()
        left, last = [asyncio.ensure_future(turns.take()) for _ in range(MANY)], asyncio.ensure_future(turns.take())
        await asyncio.sleep(0)
        for task in left[1:]:
            task.cancel()
        for _ in range(FEW):
            await asyncio.sleep(0)
        assert last.done() and not last.cancelled()

    asyncio.run(work())


def test_who_comes_alone_waits_for_nobody() -> None:
    async def work() -> None:
        turns = Turns()
        for _ in range(3):
            taken = turns.take()
            with pytest.raises(StopIteration):
                taken.send(None)
            await asyncio.sleep(0)

    asyncio.run(work())


def test_who_comes_in_another_event_loop_waits_for_nobody() -> None:
    """The application may be called in several; a turn of one wakes nobody in another."""
    turns = Turns()

    async def work() -> None:
        await turns.take()
        await asyncio.to_thread(asyncio.run, asyncio.wait_for(turns.take(), 10))
        await asyncio.wait_for(turns.take(), 10)

    asyncio.run(work())

    async def hold() -> None:
        turns._loop = asyncio.get_running_loop()  # it ends before its turn is given back

    asyncio.run(hold())
    assert count_at_once(turns) == 1, "those of the next one take turns again"


def count_at_once(turns: Turns) -> int:
    """How many of many begin before the event loop has gone round."""

    async def work() -> int:
        tasks = [asyncio.ensure_future(turns.take()) for _ in range(MANY)]
        await asyncio.sleep(0)
        begun = sum(task.done() for task in tasks)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        return begun

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("verb", "path", "more"),
    [
        pytest.param("POST", STUDIES, {"content": b"x", "headers": DICOM}, id="upload"),
        pytest.param("PATCH", f"{STORE}?updateMask=labels", {"json": {"labels": {}}}, id="patch"),
        pytest.param("POST", f"{STORE}:import", {"json": {}}, id="import"),
        pytest.param("POST", f"{OPERATION}:cancel", {"json": {}}, id="cancel"),
        pytest.param("DELETE", f"{STUDIES}/9.9", {}, id="delete"),
        pytest.param("GET", INSTANCE, {"headers": ANY}, id="file"),
        pytest.param("GET", f"{INSTANCE}/rendered", {}, id="picture"),
        pytest.param("POST", "/token", {"data": {"token": "x"}}, id="form"),
    ],
)
def test_health_is_answered_while_most_of_many_have_not_begun(
    gantry: server.Gantry, monkeypatch: pytest.MonkeyPatch, verb: str, path: str, more: dict[str, Any]
) -> None:
    begun: list[str] = []

    class Noted(Visit):
        def __init__(self, *arguments: Any) -> None:
            begun.append("visit")
            super().__init__(*arguments)

    form = gantry.app._form

    async def note_form(*arguments: Any) -> bytes:
        begun.append("form")
        return await form(*arguments)

    monkeypatch.setattr(app, "Visit", Noted)
    monkeypatch.setattr(gantry.app, "_form", note_form)

    async def work(client: httpx.AsyncClient) -> None:
        many = [asyncio.ensure_future(client.request(verb, path, **more)) for _ in range(MANY)]
        await asyncio.sleep(0)
        assert (await client.get("/healthz")).status_code == 200
        assert len(begun) <= FEW
        await asyncio.gather(*many)
        assert len(begun) == MANY

    run(gantry, work)
