"""What the executor needs of an engine, and what its workers say of themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Away(Exception):
    """The engine's scheduler does not answer, or has forgotten its calls: no call is the cause."""


class Lost(Exception):
    """The worker that had a call is gone, or does not answer any more."""


class GivenBack(Exception):
    """A worker leaves before it has run a call."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says when it is asked. ``life`` names the process; ``calls``: seconds since the last sign of life
    of each call that it has."""

    life: str
    version: str
    host: str
    size: int
    is_leaving: bool = False
    calls: Mapping[str, float] = field(default_factory=dict)


class Link(Protocol):
    """A connection to the scheduler of an engine. All raise Away; those that name a worker raise Lost."""

    async def list_workers(self) -> Sequence[str]:
        """The names of the engine's workers, also of those that are none of Gantry's."""
        ...

    async def report(self, worker: str) -> Report | None:
        """None where it is no worker of Gantry's."""
        ...

    async def run(self, worker: str, number: str, message: bytes) -> bytes | Exception:
        """Run a pickled call in a process of a worker; its pickled outcome, or what became of the process."""
        ...

    async def end(self, worker: str, number: str) -> None:
        """Kill the process of a call; one that has not begun will not begin."""
        ...

    async def refuse(self, worker: str, version: str) -> None:
        """Tell a worker that this server has another version of Gantry and gives it no calls."""
        ...

    async def close(self) -> None: ...


Connect = Callable[[], Awaitable[Link]]
"""Raises Away."""
