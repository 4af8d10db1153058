"""What would make everybody wait: the event loop's turns for new connections, and Python's search for garbage."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from gantry.listening import bind
from gantry.pauses import keep_pauses_short

CLIENTS = 320


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.SelectorEventLoop])
def test_many_new_connections_are_taken_in_a_few_turns_of_the_event_loop(new_loop: Callable[[], Any]) -> None:
    """A loop that takes one a turn never gets to the last ones while others come and go."""
    with ExitStack() as stack:
        sockets = stack.enter_context(bind("127.0.0.1", 0))
        address = sockets[0].getsockname()
        assert {each.getsockname() for each in sockets} == {address}
        with asyncio.Runner(loop_factory=new_loop) as runner:
            turns = runner.run(_turns_for(sockets, address, stack))
    assert turns <= CLIENTS // 8


async def _turns_for(sockets: list[socket.socket], address: Any, stack: ExitStack) -> int:
    """Turns of the loop until all clients that wait already have a connection."""
    loop, taken = asyncio.get_running_loop(), 0

    class Count(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal taken
            taken += 1

    for each in sockets:
        each.listen(2 * CLIENTS)
        each.setblocking(False)
    for _ in range(CLIENTS):
        stack.enter_context(socket.create_connection(address, timeout=30))
    servers = [await loop.create_server(Count, sock=each, backlog=2 * CLIENTS) for each in sockets]
    turns = 0
    while taken < CLIENTS:
        await asyncio.sleep(0)
        turns += 1
    for each in servers:
        each.close()
    return turns


@pytest.mark.slow
def test_searches_for_garbage_leave_out_what_was_there_at_the_start() -> None:
    thresholds = gc.get_threshold()
    try:
        before = len(gc.get_objects())
        keep_pauses_short()
        assert len(gc.get_objects()) < before / 20
        assert gc.isenabled() and gc.get_threshold()[0] > thresholds[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
