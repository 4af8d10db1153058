"""When running work asks whether it was cancelled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gantry.operations import interruption
from gantry.operations.interruption import POLL_SECONDS, OperationCheck


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, counted from the start of the machine."""
    clock = [0.0]
    monkeypatch.setattr(interruption.time, "monotonic", lambda: clock[0])
    return clock


@pytest.mark.parametrize("start", [0.0, POLL_SECONDS / 2, 1e6], ids=["at once", "soon", "later"])
def test_the_first_look_asks_and_then_each_after_a_pause(now: list[float], start: float) -> None:
    asked: list[float] = []
    operations = SimpleNamespace(cancel_requested=lambda _: bool(asked.append(now[0])))
    seams: Any = SimpleNamespace(index=SimpleNamespace(operations=operations))
    unused: Any = SimpleNamespace(name=None, is_set=lambda: False)
    check = OperationCheck(seams, unused, unused, unused)
    steps = [start + POLL_SECONDS * part for part in (0, 0.5, 1, 1.5, 1.75, 2)]
    for now[0] in steps:
        check.look()
    assert asked == [steps[0], steps[2], steps[5]]
