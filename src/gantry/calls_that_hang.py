"""Calls that may hang, because each of them waits for a network: who waits for one can still be told to end.

A request to a bucket that gives no answer takes half a minute until it is given up, and is tried again then. A cancel
and a stop of the server must not wait for that: the call goes on in a thread of its own, and what comes of it is
dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TypeVar

from gantry.errors import DeadlineExceeded
from gantry.worker_calls import LISTEN_SECONDS, Check

HANG_SECONDS = 1.0
"""Until a call counts as one that hangs, where a thread as a whole listens: what is cleaned up after a cancel needs its
calls, as long as they are answered."""
Out = TypeVar("Out")


class _Mine(threading.local):
    check: Check | None = None


_mine = _Mine()


@contextmanager
def hearing(check: Check) -> Iterator[None]:
    """Meanwhile ``check`` is called while a call of this thread hangs, wherever that is; what it raises ends it."""
    before, _mine.check = _mine.check, check
    try:
        yield
    finally:
        _mine.check = before


@contextmanager
def giving_up(seconds: float, what: str) -> Iterator[None]:
    """Meanwhile a call of this thread that hangs is left behind ``seconds`` after the beginning, for requests of
    clients, which may not keep the threads of others. Raises DeadlineExceeded then; ``what`` gives no answer."""
    end = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > end:
            raise DeadlineExceeded(f"{what} has given no answer for {seconds:g} seconds", advice="try again later")

    with hearing(check):
        yield


def find_check() -> Check | None:
    """That of ``hearing`` in this thread."""
    return _mine.check


def call_hearing(act: Callable[[], Out], check: Check | None = None) -> Out:
    """The outcome of ``act``. While it does not return, ``check`` is called, and what that raises is raised. That of
    ``hearing`` comes first; without any it is a call like others."""
    heard, seconds = (_mine.check, HANG_SECONDS) if _mine.check is not None else (check, LISTEN_SECONDS)
    if heard is None:
        return act()
    call = Future[Out]()
    threading.Thread(target=_run, args=(call, act), name="call", daemon=True).start()
    while not wait([call], seconds).done:
        heard()
        seconds = LISTEN_SECONDS
    return call.result()


def call_within(seconds: float, what: str, act: Callable[[], Out]) -> Out:
    """The outcome of ``act``, which is left behind where it takes longer. Raises DeadlineExceeded then: ``what`` gives
    no answer."""
    with giving_up(seconds, what):
        return call_hearing(act)


def _run(call: Future[Out], act: Callable[[], Out]) -> None:
    try:
        call.set_result(act())
    except BaseException as error:
        call.set_exception(error)
