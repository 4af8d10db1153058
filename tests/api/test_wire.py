"""The end of a connection, below HTTP: what is written to one that has just been lost goes nowhere."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from gantry.closing import Wire


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("end", ["abort", "close"])
def test_an_answer_to_a_client_that_has_left_in_this_moment(new_loop: object, end: str) -> None:
    """The event loop says so to the protocol only in its next turn."""

    async def run() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        wire = Wire(transport, loop, lambda: False, lambda: None)
        wire.write(b"one")
        await asyncio.sleep(0)
        getattr(transport, end)()
        wire.write(b"two")
        await asyncio.sleep(0.01)
        wire.write(b"three")
        wire.forget()
        with theirs:
            return theirs.recv(100)

    loop = new_loop()  # type: ignore[operator]
    try:
        assert loop.run_until_complete(run()) == b"one"
    finally:
        loop.close()
