"""The workers of an engine as the server knows them: who is there, what each has, and who gets the next call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Iterable

from gantry import __version__
from gantry.engines.links import Away, Lost, Report
from gantry.errors import NoWorker

logger = logging.getLogger(__name__)

NO_WORKER_SECONDS = 10.0
"""A call waits so long for a worker where there is none: its operation waits then, says so, and tries again."""


class Remote:
    """One worker. ``gone`` has the error of all its calls, once it is lost. ``is_doubtful``: a call did not reach it,
    so it gets none before it answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gone: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.used = 0
        self.said: Report | None = None
        self.heard = time.monotonic()
        self.is_refused = self.is_leaving = self.is_doubtful = False

    @property
    def free(self) -> int:
        """Calls that it can begin now."""
        return 0 if self.said is None or not self.is_usable else self.said.size - self.used

    @property
    def is_usable(self) -> bool:
        return self.said is not None and not (
            self.is_refused or self.is_leaving or self.is_doubtful or self.gone.done()
        )

    def hear(self, said: Report) -> None:
        self.said, self.heard, self.is_doubtful = said, time.monotonic(), False
        self.is_leaving = self.is_leaving or said.is_leaving

    def lose(self, error: Exception) -> None:
        if not self.gone.done():
            self.gone.set_result(error)


class Roster:
    """Used by one event loop. ``engine`` is what messages call the scheduler, ``missing`` why it cannot be reached."""

    def __init__(self, engine: str) -> None:
        self._engine, self.missing = engine, "it has not answered yet"
        self._remotes: dict[str, Remote] = {}
        self._waiting: deque[tuple[float, asyncio.Future[Remote]]] = deque()
        self._alone_since = time.monotonic()

    @property
    def size(self) -> int:
        return sum(each.said.size for each in self._remotes.values() if each.said is not None and each.is_usable)

    def list_new(self, names: Iterable[str]) -> list[Remote]:
        """Workers that have joined. Those that are not among the names any more are lost."""
        now = set(names)
        for name in self._remotes.keys() - now:
            self.lose(self._remotes[name], Lost())
        new = [Remote(name) for name in sorted(now - self._remotes.keys())]
        self._remotes |= {each.name: each for each in new}
        return new

    def lose(self, remote: Remote, error: Exception) -> None:
        if self._remotes.get(remote.name) is remote:
            del self._remotes[remote.name]
        remote.lose(error)
        if remote.said is not None and not remote.is_refused:
            logger.info("worker %s on %s of %s has left", remote.name, remote.said.host, self._engine)

    def lose_all(self) -> None:
        """The scheduler cannot be reached."""
        for each in list(self._remotes.values()):
            self.lose(each, Away())

    def hear(self, remote: Remote, said: Report) -> bool:
        """Whether the worker has the version of this server; said in the log where it has not."""
        if remote.said is None:
            remote.is_refused = said.version != __version__
            if remote.is_refused:
                logger.error("worker %s on %s is refused: %s", remote.name, said.host, _compare(said))
            else:
                logger.info("worker %s on %s of %s: %d processes", remote.name, said.host, self._engine, said.size)
        remote.hear(said)
        self.give()
        return not remote.is_refused

    async def take(self, is_first: bool) -> Remote:
        """A worker with room for a call, in the order of asking; ``is_first``: before all others. Raises NoWorker."""
        future: asyncio.Future[Remote] = asyncio.get_running_loop().create_future()
        waiting = time.monotonic(), future
        self._waiting.appendleft(waiting) if is_first else self._waiting.append(waiting)
        self.give()
        try:
            return await waiting[1]
        except asyncio.CancelledError:
            if waiting[1].done() and not waiting[1].cancelled() and waiting[1].exception() is None:
                self.put_back(waiting[1].result())
            raise

    def put_back(self, remote: Remote) -> None:
        """A call of a worker has ended."""
        remote.used -= 1
        self.give()

    def give(self) -> None:
        """Workers with room to those who wait; the one with the most room first, so that all are busy alike."""
        while self._waiting:
            best = max(self._remotes.values(), key=lambda each: each.free, default=None)
            if best is None or best.free <= 0:
                return
            _, waiting = self._waiting.popleft()
            if not waiting.done():
                best.used += 1
                waiting.set_result(best)

    def tell_waiting(self) -> None:
        """Those who have waited too long for the first worker learn it."""
        now = time.monotonic()
        if self.size:
            self._alone_since = now
        if now - self._alone_since < NO_WORKER_SECONDS:
            return
        kept = deque((since, each) for since, each in self._waiting if now - since < NO_WORKER_SECONDS)
        late = [each for since, each in self._waiting if now - since >= NO_WORKER_SECONDS]
        self._waiting = kept
        for each in late:
            if not each.done():
                each.set_exception(NoWorker(self._describe(now - self._alone_since), advice=_ADVICE))

    def _describe(self, seconds: float) -> str:
        if self.missing:
            return f"the scheduler {self._engine} could not be reached for {seconds:.0f} seconds: {self.missing}"
        refused = [each for each in self._remotes.values() if each.is_refused]
        why = f"; {_list_refused(refused)}" if refused else ""
        return f"the scheduler {self._engine} has had no worker of Gantry for {seconds:.0f} seconds{why}"


_ADVICE = "start the scheduler, and workers with `gantry worker`"


def _compare(said: Report) -> str:
    return f"it is Gantry {said.version}, and this server is Gantry {__version__}"


def _list_refused(refused: Collection[Remote]) -> str:
    versions = sorted({each.said.version for each in refused if each.said is not None})
    return f"{len(refused)} are refused: they are Gantry {', '.join(versions)}, and this server is Gantry {__version__}"
