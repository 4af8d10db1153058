"""The calls that one worker of an engine runs, each in a process of its own pool: so a call that dies, hangs or is
ended costs that process alone, and never the engine's worker."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from typing import Any

from gantry import __version__
from gantry.engines.links import GivenBack, Report
from gantry.executors import WorkerPool, run_call
from gantry.worker_calls import Call, CallEnded

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 15.0
"""After SIGTERM: for running calls to end. Service managers wait 20 s or more before they kill."""

_MOST_ENDED = 10_000  # calls that were ended before they came; the engine forgets most of them itself


class LocalCalls:
    """Safe to use from many threads."""

    def __init__(self, size: int) -> None:
        self.size, self.life = size, secrets.token_hex(8)
        self._pool = WorkerPool(size)
        self._lock = threading.Lock()
        self._calls: dict[str, Call[Any]] = {}
        self._ended: dict[str, None] = {}
        self._is_leaving = False

    def run(self, number: str, message: bytes) -> bytes | Exception:
        """The pickled outcome of a pickled call, or what became of its process."""
        with self._lock:
            if number in self._ended:
                return CallEnded("the call was ended")
            if self._is_leaving:
                return GivenBack()
            call = self._calls[number] = self._pool.submit(run_call, message)
        try:
            answer: bytes = call.result()
            return answer
        except Exception as error:
            return GivenBack() if self._is_leaving and isinstance(error, CallEnded) else error
        finally:
            with self._lock:
                del self._calls[number]

    def report(self) -> Report:
        with self._lock:
            calls = {number: call.silence for number, call in self._calls.items()}
        return Report(self.life, __version__, socket.gethostname(), self.size, self._is_leaving, calls)

    def end(self, number: str) -> None:
        with self._lock:
            call = self._calls.get(number)
            self._ended[number] = None
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
        if call is not None:
            call.end()

    def end_all(self) -> None:
        """Nobody can take their outcomes any more."""
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            call.end()

    def leave(self, seconds: float) -> None:
        """Take no more calls; those that still run after so many seconds are ended, and given back."""
        self._is_leaving = True
        deadline = time.monotonic() + seconds
        while self._calls and time.monotonic() < deadline:
            time.sleep(0.05)
        self.end_all()
        while self._calls and time.monotonic() < deadline + 1:
            time.sleep(0.05)

    def close(self) -> None:
        self._pool.end()
        self._pool.shutdown()


def hear_refusal(version: str) -> None:
    """A server gives this worker no calls, because it has another version of Gantry."""
    logger.error(
        "a server has refused this worker: it is Gantry %s, and this worker is Gantry %s; install the same version",
        version,
        __version__,
    )
