"""A pool of worker processes that survives the death of a worker.

Each worker is a child process with its own socket and its own thread in the parent. So the call that a dead worker was
running is known: only that call fails, with ``WorkerDied``, and a new worker is started. Workers end with their parent,
however it ends.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

from gantry.beats import beat, hear_beats
from gantry.errors import NoWorker
from gantry.pauses import keep_pauses_short
from gantry.request_times import request_times
from gantry.system_errors import describe_os_error
from gantry.worker_calls import (
    Call,
    CallEnded,
    WorkerDied,
    Workers,
    WorkerTimedOut,
)

logger = logging.getLogger(__name__)

_Waiting = tuple["_Call", Callable[..., Any], tuple[Any, ...], dict[str, Any]]
_PAUSES = (0.1, 0.5, 1, 2, 4, 8, 15, 30)  # seconds between attempts to start a process
_STARTS = 20  # workers that may die before they begin a call: then the call did not cause it and is tried again
_CLOSE_SECONDS = 2  # for a worker to end by itself, and then to be killed
_BEGIN_SECONDS = 60
"""For a worker to take a call and give its first sign of life. A new one imports its modules before, in a second; one
that does not begin has been stopped, or hangs, and another takes the call."""

NICENESS = 10
"""The nice value that workers add to the server's: while processors are scarce, a worker gets a tenth of the time of a
thread of the server (``sched_prio_to_weight`` in Linux). Idle processors are used in full."""
# First of all, because importing the libraries takes a new worker longer than most calls.
_MAIN = f"import os, sys; os.nice({NICENESS}); from gantry.executors import work; work(*map(int, sys.argv[1:]))"

_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
"""Bytes, for glibc (mallopt(3)), unless the environment has others: what a frame needs stays with the worker. To give
it back after each frame, and to get it again page by page, took longer than to paint the frame."""


class _Call(Call[Any]):
    """Knows the worker that runs it, from ``give_to`` to ``take_back``."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self.ended = False

    def end(self) -> None:
        if not self.cancel():
            with self._lock:
                self.ended = True
                if self._worker is not None:
                    self._worker.kill()

    @property
    def silence(self) -> float:
        with self._lock:
            return 0.0 if self._worker is None else time.monotonic() - self._worker.heard

    def give_to(self, worker: _Worker) -> bool:
        """False where the call was ended before."""
        with self._lock:
            if not self.ended:
                self._worker = worker
            return not self.ended

    def take_back(self) -> None:
        with self._lock:
            self._worker = None


class WorkerPool(Workers):
    """``concurrent.futures.Executor`` over processes. ``keep_open``: descriptors that every worker keeps open too.

    With ``lazy`` a worker starts with its first call. Functions and arguments are pickled; an exception of the function
    is the exception of the future.
    """

    def __init__(self, size: int, keep_open: tuple[int, ...] = (), lazy: bool = False) -> None:
        self.size, self.deaths = size, 0
        self._keep_open = keep_open
        self._lazy = lazy
        self._calls: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._running: set[_Call] = set()
        # The write end closes when this process ends, even by kill -9: workers notice that.
        self._pipe: tuple[int, ...] = os.pipe()
        self._lifeline = self._pipe[0]
        self._threads = [
            threading.Thread(target=self._feed, name=f"worker-{number}", daemon=True) for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def __del__(self) -> None:
        if hasattr(self, "_pipe"):
            self._close_lifeline()  # of one that was ended: its threads are gone, too

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Call[Any]:
        future = _Call()
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("the worker pool is closed")
            self._calls.put((future, fn, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls. Running calls are finished; with ``cancel_futures`` waiting calls are cancelled."""
        with self._lock:
            first = not self._closing.is_set()
            self._closing.set()
            if cancel_futures:
                self._drop_waiting()
            if first:
                for _ in self._threads:
                    self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()
            self._close_lifeline()

    def _close_lifeline(self) -> None:
        with self._lock:
            for descriptor in self._pipe:
                os.close(descriptor)
            self._pipe = ()

    def end(self, seconds: float = 0) -> None:
        """See ``Workers.end``. Calls that are ended fail with CallEnded."""
        self.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running = list(self._running)
        wait(running, seconds)
        for call in running:
            call.end()

    @property
    def busy(self) -> int:
        with self._lock:
            return len(self._running)

    def _drop_waiting(self) -> None:
        ends = 0
        with suppress(queue.Empty):
            while True:
                waiting = self._calls.get_nowait()
                if waiting is None:
                    ends += 1
                elif waiting[0].cancel():
                    waiting[0].set_running_or_notify_cancel()  # wakes those who wait for the future
        for _ in range(ends):  # the threads need their end marks back
            self._calls.put(None)

    def _feed(self) -> None:
        """Run in one worker's thread: start the worker, send it calls, replace it when it dies."""
        worker: _Worker | None = None
        if not self._lazy:
            with suppress(OSError):  # the first call tries again
                worker = _Worker(self._lifeline, self._keep_open)
        while (call := self._calls.get()) is not None:
            future, fn, args, kwargs = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                message = pickle.dumps((fn, args, kwargs), pickle.HIGHEST_PROTOCOL)
            except Exception as error:
                future.set_exception(error)
                continue
            with self._lock:
                self._running.add(future)
            worker = self._run(worker, message, future)
            with self._lock:
                self._running.remove(future)
        if worker is not None:
            worker.close()

    def _run(self, worker: _Worker | None, message: bytes, call: _Call) -> _Worker | None:
        """Run a call in the worker. Returns the worker that is alive afterwards, or None."""
        for attempt in range(1, _STARTS + 1):
            try:
                worker = worker or self._start()
                if not call.give_to(worker):
                    call.set_exception(CallEnded("the call was ended"))
                    break
                try:
                    ok, value = worker.call(message)
                finally:
                    call.take_back()
            except WorkerDied as error:
                assert worker is not None  # noqa: S101 - it is the one that died
                if not call.ended:
                    with self._lock:
                        self.deaths += 1
                    logger.warning("worker process %d died; a new one takes its place", worker.pid)
                dead, worker = worker, None
                is_over = dead.began or call.ended or attempt == _STARTS
                if is_over:
                    call.set_exception(_explain_end(call, dead, error))
                dead.close()  # afterwards: a process that hangs in a system call takes its time
                if is_over:
                    break
            except Exception as error:
                call.set_exception(error)
                break
            else:
                call.set_result(value) if ok else call.set_exception(value)
                break
        return worker

    def _start(self) -> _Worker:
        """Start a worker. Raises NoWorker when no process can be started for a minute, or while closing."""
        for pause in (*_PAUSES, None):
            try:
                return _Worker(self._lifeline, self._keep_open)
            except OSError as error:
                if pause is None or self._closing.is_set():
                    raise NoWorker(f"no worker process can be started: {describe_os_error(error)}") from error
                logger.warning("no worker process can be started (%s); trying again in %g s", error, pause)
                self._closing.wait(pause)
        raise AssertionError("unreachable")


def _explain_end(call: _Call, dead: _Worker, error: WorkerDied) -> Exception:
    """Workers that end before they begin are no fault of the call: it can be tried again later."""
    if call.ended:
        return CallEnded("the call was ended")
    return error if dead.began else NoWorker("worker processes end as soon as they have started")


class _Worker:
    def __init__(self, lifeline: int, keep_open: tuple[int, ...]) -> None:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _BEGIN_SECONDS, 0))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, str(theirs.fileno()), str(lifeline)],
                pass_fds=(theirs.fileno(), lifeline, *keep_open),
                stdin=subprocess.DEVNULL,
                process_group=0,
                env=_KEPT_MEMORY | os.environ,
            )
        self._connection = Connection(ours.detach())
        self.pid = self._process.pid
        self.began = False
        self.heard = time.monotonic()

    def call(self, message: bytes) -> tuple[bool, Any]:
        """Whether the call succeeded, and its value or exception. Raises WorkerDied, WorkerTimedOut.

        ``began`` says afterwards whether the worker had begun the call when it died: it sends a beat first.
        """
        allowed: float | None = _BEGIN_SECONDS
        self.began, self.heard = False, time.monotonic()
        try:
            self._connection.send_bytes(message)
            while True:
                if not self._connection.poll(allowed):
                    self._process.kill()
                    raise WorkerTimedOut(allowed or 0)
                answer = pickle.loads(self._connection.recv_bytes())  # noqa: S301 - from our own child
                self.began, self.heard = True, time.monotonic()
                if isinstance(answer, tuple):
                    return open_answer(answer)
                allowed = answer
        except (EOFError, OSError):
            raise WorkerDied("the worker process died") from None

    def kill(self) -> None:
        """Safe from any thread: its running call fails with WorkerDied, at once, even if the process hangs in a system
        call and ends later."""
        self._process.kill()
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Return when the process has ended, or after ``_CLOSE_SECONDS``: nobody waits for one that hangs."""
        self._connection.close()
        for _ in range(2):
            try:
                self._process.wait(timeout=_CLOSE_SECONDS)
                return
            except subprocess.TimeoutExpired:
                self._process.kill()
        logger.warning("worker process %d hangs in a system call; it ends when that does", self.pid)


def work(descriptor: int, lifeline: int) -> None:
    """Main function of a worker process: read calls from a socket until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    connection = Connection(descriptor)
    hear_beats(lambda seconds: connection.send_bytes(pickle.dumps(seconds)))
    while True:
        try:
            connection.send_bytes(run_call(connection.recv_bytes()))
        except (EOFError, OSError):  # nobody is there any more, who would have the answer
            return


def run_call(message: bytes) -> bytes:
    """Run a call; its pickled result. The first beat is sent once the call is loaded: loading imports modules, which
    may take longer than the call, and a worker that dies before it has not died of the call."""
    try:
        fn, args, kwargs = pickle.loads(message)  # noqa: S301 - from our own parent over a private socket
        _settle()
        beat(None)
        return _pickle(True, fn(*args, **kwargs))
    except Exception as error:
        try:
            return _pickle(False, error)
        except Exception:
            logger.exception("the exception of a call cannot be pickled: %r", error)
            return _pickle(False, RuntimeError(f"a call failed with {type(error).__name__}"))


def _pickle(ok: bool, value: Any) -> bytes:
    """With the times of the requests to buckets that were made meanwhile."""
    told = request_times.take()
    try:
        return pickle.dumps((ok, value, told), pickle.HIGHEST_PROTOCOL)
    except Exception:
        request_times.add(told)
        raise


def open_answer(answer: Any) -> tuple[bool, Any]:
    """Whether a call succeeded, and its value or exception, of what ``run_call`` gave. Its times are counted here."""
    ok, value, told = answer
    request_times.add(told)
    return ok, value


@cache
def _settle() -> None:
    """With the first call, which has imported its modules."""
    keep_pauses_short()


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)
