"""The state of an operation in one word, the same in the console and on the command line."""

from __future__ import annotations

from enum import StrEnum

from gantry.errors import Code


class State(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    PARTIAL = "errors"
    FAILED = "failed"
    CANCELLED = "cancelled"


def state_of(done: bool, cancel_requested: bool, code: int, success: int, waits: bool = False) -> State:
    """``code`` is the ``google.rpc.Code`` of the operation's error, 0 for none; ``success`` is a count of objects."""
    if not done:
        return State.CANCELLING if cancel_requested else State.WAITING if waits else State.RUNNING
    if code == Code.OK:
        return State.SUCCEEDED
    if code == Code.CANCELLED:
        return State.CANCELLED
    return State.PARTIAL if success else State.FAILED
