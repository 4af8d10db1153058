"""The servers that share an index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gantry.live_servers import LiveServer


class ServerIndex(Protocol):
    """Who is alive, where the index is shared. A server that has been expelled writes nothing to it any more: its calls
    raise Expelled."""

    @property
    def heard(self) -> float | None:
        """When the last ``beat`` got through, by ``time.monotonic``; None before the first."""
        ...

    def join(self, name: str, home: str, runs: bool) -> str:
        """From now on this server is alive, and an earlier one of the same ``home``, its data directory, is gone. Its
        name among the servers. Raises Interrupted."""
        ...

    def beat(self, state: Mapping[str, Any]) -> list[LiveServer]:
        """Give a sign of life, and tell the others of the ``state``. All that are alive, those that came first before
        the others. Raises Expelled, Interrupted."""
        ...

    def expel(self, value: LiveServer) -> bool:
        """A server is gone, unless it has given a sign of life meanwhile: then False. What it was doing is free for
        others. It waits for its turn for some seconds alone: others wait for a sign of life of this one. Raises
        Interrupted."""
        ...

    def leave(self) -> None:
        """This server stops."""
        ...

    def list_live(self) -> list[LiveServer]:
        """As ``beat``."""
        ...
