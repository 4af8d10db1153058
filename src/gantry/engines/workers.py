"""The executor over an engine. Each call is given to a worker with room for it, which runs it in a process of its own
pool; so what a call can do to its process is what it can do in the process pool. What the engine loses is given to
another worker: the caller learns only of calls that several workers were lost with."""

from __future__ import annotations

import asyncio
import logging
import pickle
import secrets
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import wait as wait_for_all
from contextlib import suppress
from typing import Any

from gantry import __version__
from gantry.engines.links import Away, Connect, GivenBack, Link, Lost, Report
from gantry.engines.roster import Remote, Roster
from gantry.errors import NoWorker, StatusError
from gantry.executors import open_answer
from gantry.worker_calls import (
    Call,
    CallEnded,
    WorkerDied,
    Workers,
)

logger = logging.getLogger(__name__)

Dumps = Callable[[Any], bytes]

LOSSES = 3
"""Workers that may be lost with a call before it is taken for the cause."""

SILENT_SECONDS = 30.0
"""A worker that has not answered for so long is given up, and others get its calls: it hangs, or is cut off."""

_ANSWER_SECONDS = 5.0  # for one question to the scheduler or a worker
_CONNECT_SECONDS = 60.0  # a scheduler that takes the connection and says nothing would be waited for for ever
_LOOK_SECONDS = 0.5  # between two looks at who is there
_END_SECONDS = 2.0  # for a worker to end a call; then nobody waits for it any more
_MOST_GIVEN_UP = 10_000  # attempts whose worker may come back and still have them
_PAUSES = (0.2, 0.5, 1, 2, 4, 8)  # seconds between attempts to reach the scheduler


class _Call(Call[Any]):
    """``task`` carries it, in the event loop of its executor; ``remote`` is the worker that has it, by a ``ticket``
    that no other attempt has."""

    def __init__(self, message: bytes, drop: Callable[[_Call], None], end: Callable[[_Call], None]) -> None:
        super().__init__()
        self.message, self._drop, self._end = message, drop, end
        self.task: asyncio.Task[None] | None = None
        self.remote: Remote | None = None
        self.ended, self._is_told, self._given, self._number = False, False, 0, secrets.token_hex(8)

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:
            self._drop(self)
        return cancelled

    def end(self) -> None:
        if not self.cancel():
            self.ended = True
            self._end(self)

    @property
    def attempts(self) -> int:
        return self._given

    @property
    def ticket(self) -> str:
        return f"{self._number}-{self._given}"

    @property
    def silence(self) -> float:
        remote = self.remote
        if remote is None or remote.said is None:
            return 0.0
        return remote.said.calls.get(self.ticket, 0.0) + time.monotonic() - remote.heard

    def begin(self) -> bool:
        """False where it was cancelled; whoever waits for it learns that."""
        if not self.running() and not self._is_told:
            self._is_told = not self.set_running_or_notify_cancel()
        return not self._is_told

    def give_to(self, remote: Remote) -> None:
        self._given += 1
        self.remote = remote


class EngineWorkers(Workers):
    """``connect`` reaches the scheduler, which messages call ``name``; ``dumps`` pickles calls."""

    def __init__(self, connect: Connect, name: str, dumps: Dumps = pickle.dumps) -> None:
        self._connect, self._name, self._dumps = connect, name, dumps
        self._lock, self._open = threading.Lock(), set[_Call]()
        self._closing, self._is_over = False, False
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._roster = Roster(name)
        self._tasks: set[asyncio.Task[None]] = set()
        self._given_up: dict[str, None] = {}
        self._link: Link | None = None
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:  # type: ignore[override]
        """Processes of all workers that are there now; it changes when they join and leave."""
        return max(1, self._roster.size)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Call[Any]:
        try:
            message, error = self._dumps((fn, args, kwargs)), None
        except Exception as failed:
            message, error = b"", failed
        call = _Call(message, self._wake(self._drop), self._wake(self._end_running))
        if error is not None:
            call.set_exception(error)
            return call
        with self._lock:
            if self._closing:
                raise RuntimeError("the engine's executor is closed")
            self._open.add(call)
            self._loop.call_soon_threadsafe(self._begin, call)
        return call

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._closing = True
            calls = list(self._open)
        if cancel_futures:
            for call in calls:
                call.cancel()
        self._wake(lambda _: self._changed.set())(None)
        if wait:
            self._thread.join()

    def end(self, seconds: float = 0) -> None:
        """See ``Workers.end``. Calls that are ended fail with CallEnded."""
        self.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running: list[Future[Any]] = list(self._open)
        wait_for_all(running, seconds)
        for call in running:
            if isinstance(call, _Call):
                call.end()

    def _wake(self, do: Callable[[Any], None]) -> Callable[[Any], None]:
        """The same in the event loop, for other threads."""

        def wake(call: _Call | None) -> None:
            with self._lock:
                if not self._is_over:
                    self._loop.call_soon_threadsafe(do, call)

        return wake

    def _drop(self, call: _Call) -> None:
        if call.task is not None:
            call.task.cancel()

    def _end_running(self, call: _Call) -> None:
        """A call that no worker has ends at once, another one when its worker says so."""
        remote, link, task = call.remote, self._link, call.task
        if remote is None or link is None or task is None:
            return self._drop(call)
        self._start(_end_at(link, remote.name, call.ticket))
        self._loop.call_later(_END_SECONDS, task.cancel)
        return None

    def _work(self) -> None:
        """Run in the thread of the executor, until it is closed and its last call is done."""
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            logger.exception("the connection to %s has failed", self._name)
        finally:
            with self._lock:
                self._closing = self._is_over = True
                left = list(self._open)
                self._open.clear()
            for call in left:
                if not call.cancel() and not call.done():
                    call.set_exception(CallEnded("the call was ended"))
            self._loop.close()

    async def _serve(self) -> None:
        keeping = asyncio.create_task(self._keep_linked())
        telling = asyncio.create_task(self._tell_waiting())
        while not (self._closing and not self._open):
            await self._changed.wait()
            self._changed.clear()
        for task in (keeping, telling, *self._tasks):
            task.cancel()
        await asyncio.gather(keeping, telling, *self._tasks, return_exceptions=True)

    async def _tell_waiting(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._roster.tell_waiting()

    async def _keep_linked(self) -> None:
        """Reach the scheduler, again and again."""
        failed = 0
        while True:
            try:
                self._link = await self._reach()
                failed = 0
                await self._watch(self._link)
            except Away as away:
                if not failed:
                    logger.warning("the scheduler %s cannot be reached: %s; trying again", self._name, away)
                self._roster.missing = str(away)
            except Exception:
                logger.exception("the connection to the scheduler %s has failed", self._name)
                self._roster.missing = "the connection has failed; the log has the details"
            finally:
                self._roster.lose_all()
                link, self._link = self._link, None
                if link is not None:
                    with suppress(Exception):
                        await asyncio.wait_for(link.close(), _ANSWER_SECONDS)
            await asyncio.sleep(_PAUSES[min(failed, len(_PAUSES) - 1)])
            failed += 1

    async def _reach(self) -> Link:
        """Raises Away."""
        try:
            return await asyncio.wait_for(self._connect(), _CONNECT_SECONDS)
        except TimeoutError:
            raise Away("it does not answer") from None

    async def _watch(self, link: Link) -> None:
        """Raises Away once the scheduler does not answer."""
        while True:
            try:
                names = await asyncio.wait_for(link.list_workers(), _ANSWER_SECONDS)
            except TimeoutError:
                raise Away("it does not answer") from None
            self._roster.missing = ""
            for remote in self._roster.list_new(names):
                self._start(self._follow(link, remote))
            await asyncio.sleep(_LOOK_SECONDS)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _follow(self, link: Link, remote: Remote) -> None:
        """Ask a worker how it is while it is there."""
        while not remote.gone.done():
            try:
                said = await asyncio.wait_for(link.report(remote.name), _ANSWER_SECONDS)
            except Exception as error:
                if not isinstance(error, TimeoutError | Lost | Away):
                    logger.warning("worker %s gives an answer that cannot be read: %s", remote.name, error)
                if time.monotonic() - remote.heard > SILENT_SECONDS:
                    return self._roster.lose(remote, Lost())
            else:
                if remote.said is not None and (said is None or remote.said.life != said.life):
                    return self._roster.lose(remote, Lost())  # another process in its place
                if said is None:
                    return None
                self._end_given_up(link, remote.name, said)
                if not self._roster.hear(remote, said):
                    with suppress(TimeoutError, Lost, Away):
                        await asyncio.wait_for(link.refuse(remote.name, __version__), _ANSWER_SECONDS)
                    return None
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    def _end_given_up(self, link: Link, worker: str, said: Report) -> None:
        """A worker that was given up and is back may still run what another one has now: it would write beside it, also
        after the operation has looked for what such attempts have left."""
        for ticket in said.calls.keys() & self._given_up.keys():
            self._start(_end_at(link, worker, ticket))

    def _give_up(self, ticket: str) -> None:
        self._given_up[ticket] = None
        if len(self._given_up) > _MOST_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]

    def _begin(self, call: _Call) -> None:
        if call.cancelled():
            self._settle(call)
        else:
            call.task = self._start(self._carry(call))

    async def _carry(self, call: _Call) -> None:
        """Give a call to workers until one has its outcome."""
        try:
            ok, value = await self._run(call)
            call.set_result(value) if ok else call.set_exception(value)
        except asyncio.CancelledError:
            _fail(call, CallEnded("the call was ended"))
        except Exception as error:
            _fail(call, error)
        finally:
            self._settle(call)

    def _settle(self, call: _Call) -> None:
        if call.cancelled():
            call.begin()
        with self._lock:
            self._open.discard(call)
        self._changed.set()

    async def _run(self, call: _Call) -> tuple[bool, Any]:
        """Raises what became of it: WorkerDied, NoWorker, CancelledError."""
        losses = 0
        while losses < LOSSES:
            remote = await self._roster.take(is_first=call.attempts > 0)
            try:
                if not call.begin() or call.ended:
                    raise asyncio.CancelledError
                call.give_to(remote)
                answer = await self._run_at(remote, call)
            except Away:
                remote.is_doubtful = True
                continue
            except Lost:
                losses += 1
                logger.warning("worker %s was lost with a call", remote.name)
                remote.is_doubtful = True
                continue
            finally:
                call.remote = None
                self._roster.put_back(remote)
            if isinstance(answer, bytes):
                ok, value = open_answer(pickle.loads(answer))  # noqa: S301 - the worker has the data in any case
                return ok, _place(value, remote) if not ok else value
            if isinstance(answer, GivenBack):
                remote.is_leaving = True
            elif isinstance(answer, NoWorker):
                losses += 1
                if losses == LOSSES:
                    raise answer
            else:
                raise answer
        raise WorkerDied(f"{losses} workers were lost with the call")

    async def _run_at(self, remote: Remote, call: _Call) -> bytes | Exception:
        link = self._link
        if link is None or remote.gone.done():
            raise Away
        running = asyncio.ensure_future(link.run(remote.name, call.ticket, call.message))
        try:
            both: set[asyncio.Future[Any]] = {running, remote.gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            raise remote.gone.result()
        except BaseException:
            self._give_up(call.ticket)
            raise
        finally:
            if not running.done():
                running.cancel()


def _place(error: Exception, remote: Remote) -> Exception:
    """What an operation waits for may be there, and not where the worker is: whoever reads it learns which one."""
    if isinstance(error, StatusError) and error.waits_for is not None and remote.said is not None:
        return error.within(f"worker on {remote.said.host}")
    return error


def _fail(call: _Call, error: Exception) -> None:
    """Unless it was cancelled meanwhile."""
    with suppress(InvalidStateError):
        call.set_exception(error)


async def _end_at(link: Link, worker: str, ticket: str) -> None:
    """A worker that does not answer is not waited for."""
    with suppress(TimeoutError, Lost, Away):
        await asyncio.wait_for(link.end(worker, ticket), _ANSWER_SECONDS)
