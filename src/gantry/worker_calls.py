"""The port of executors: calls in worker processes, and what may become of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Any, Protocol, TypeVar, runtime_checkable

Check = Callable[[], None]
"""Called several times a second by work that may take long; an exception that it raises ends the work."""

LISTEN_SECONDS = 0.25  # between two calls of a check: a cancel takes effect within a second
GRACE_SECONDS = 0.5  # time for a call that is no longer wanted to end by itself: most need less
SILENT_SECONDS = 30.0  # without a sign of life: then whoever waits for it is told
Out = TypeVar("Out")


class WorkerDied(Exception):
    """The worker process ended before its call returned."""


class CallEnded(WorkerDied):
    """The process was ended because its result is no longer wanted, or because the server stops."""


class WorkerTimedOut(WorkerDied):
    """The process was ended because the call did not ``beat`` within the ``seconds`` that it had announced."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no sign of life for {seconds:g} seconds")
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.seconds,)


@runtime_checkable
class HearsSilence(Protocol):
    """A check that wants to know when the call it waits for gives no sign of life."""

    def hear_silence(self, seconds: float) -> None:
        """``seconds``: since the last sign; 0 when there is one again."""
        ...


class Call(Future[Out]):
    """A call that runs in a worker process."""

    @property
    def silence(self) -> float:
        """Seconds since the last sign of life, 0 where it does not run."""
        return 0.0

    @property
    def attempts(self) -> int:
        """How many workers it was given to. Of more than one the first may have left something."""
        return 1

    def end(self) -> None:
        """Cancel it; where it has begun, kill its process, so that it fails with CallEnded."""
        self.cancel()


def count_attempts(call: Future[Any]) -> int:
    """How many workers a call was given to."""
    return call.attempts if isinstance(call, Call) else 1


Window = int | Callable[[], int]
"""How many batches of an operation may run at a time; a function where workers join and leave."""


def read_window(window: Window) -> int:
    """What it is now."""
    return window if isinstance(window, int) else window()


class Workers(Executor):
    """An executor whose calls run in worker processes, ``size`` of them at a time, which may change."""

    size: int
    deaths = 0
    """Worker processes that ended before their call did, since the start."""

    @property
    def busy(self) -> int:
        """Calls that workers have now."""
        return 0

    def end(self, seconds: float = 0) -> None:
        """Accept no more calls, cancel waiting calls, and end calls that still run after so many seconds."""
        self.shutdown(cancel_futures=True)


def wait_for_result(future: Future[Out], check: Check) -> Out:
    """The result of a call. Calls ``check`` while waiting, and tells it of silence where it hears it."""
    silent = False
    while not wait([future], LISTEN_SECONDS).done:
        check()
        silence = future.silence if isinstance(future, Call) else 0.0
        if isinstance(check, HearsSilence) and (silent or silence >= SILENT_SECONDS):
            silent = silence >= SILENT_SECONDS
            check.hear_silence(silence if silent else 0.0)
    return future.result()


def end_calls(futures: Sequence[Future[Any]], seconds: float = GRACE_SECONDS) -> set[Future[Any]]:
    """Return when none of the calls runs: those that have not begun are cancelled, those that still run after so many
    seconds are ended. Returns the latter."""
    late = wait([future for future in futures if not future.cancel()], seconds).not_done
    for future in late:
        if isinstance(future, Call):
            future.end()
    wait(late)
    return late
