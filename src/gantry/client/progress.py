"""Follow an operation to its end: a progress bar on a terminal, else a line every few seconds. Writes to stderr."""

from __future__ import annotations

import math
import signal
import time
from collections import deque
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from gantry.client.api import Api
from gantry.client.messages import describe_error
from gantry.client.terminal import console, format_duration, note
from gantry.client.view import OperationView
from gantry.errors import StatusError, Unavailable
from gantry.languages import _, ngettext
from gantry.sizes import format_decimal, format_number, format_size

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two polls: short operations end soon, long ones are polled less."""
PATIENCE = 30.0
"""Seconds for which a server may be down: as long as a restart takes."""
LINE_EVERY = 5.0
RATE_WINDOW = 30.0
"""Seconds over which the rate is averaged, as in the console."""


def follow(api: Api, name: str, timeout: float | None = None) -> OperationView:
    """Poll until the operation is done, or ``timeout`` seconds have passed.

    Raises Unavailable if the server is down for more than ``PATIENCE`` seconds, and the errors of the server.
    """
    pause, lost = FIRST_PAUSE, 0.0
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    with _watch() as watch, _Interrupts() as interrupts:
        while True:
            interrupts.check()
            try:
                view = OperationView(api.get(name))
            except Unavailable as error:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > PATIENCE:
                    raise
                watch.note(format_patience(error))
            else:
                if lost:
                    watch.note(_("the server is back"))
                    lost, pause = 0.0, FIRST_PAUSE
                watch.show(view)
                if view.wait_message:
                    watch.note(_("waiting: {reason}").format(reason=view.wait_message))
                if view.done or time.monotonic() >= deadline:
                    return view
            time.sleep(max(min(pause, deadline - time.monotonic()), 0))
            pause = min(pause * 1.3, LONGEST_PAUSE)


def format_patience(error: StatusError) -> str:
    """That a request is sent again although it got no answer."""
    text = _("{error}; trying again for {seconds} s")
    return text.format(error=describe_error(error), seconds=f"{PATIENCE:.0f}")


class _Interrupts:
    """Remembers Ctrl-C, because a KeyboardInterrupt is lost if it is raised in a destructor."""

    def __init__(self) -> None:
        self._is_interrupted = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if there was a Ctrl-C."""
        if self._is_interrupted:
            raise KeyboardInterrupt

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_interrupted = True
        raise KeyboardInterrupt

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._before)


class Pace:
    """Objects and bytes per second over the last ``RATE_WINDOW`` seconds, and the time left."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int, int]] = deque()

    def add(self, finished: int, size: int, now: float) -> None:
        """``size``: bytes so far."""
        self._points.append((now, finished, size))
        while now - self._points[0][0] > RATE_WINDOW and len(self._points) > 2:
            self._points.popleft()

    @property
    def rates(self) -> tuple[float, float]:
        """Objects and bytes per second; 0 while unknown."""
        (start, *before), (end, *after) = self._points[0], self._points[-1]
        if end <= start:
            return 0.0, 0.0
        objects, size = ((now - then) / (end - start) for then, now in zip(before, after, strict=True))
        return objects, size

    def text(self, view: OperationView) -> str:
        """``322/s, 4.2 MiB/s, 12 s left``; for an operation that is done, its overall rates."""
        if view.done:
            return format_rate(view)
        objects, size = self.rates
        if not objects:
            return ""
        left = view.total - view.finished
        rates = _format_rates(objects, size)
        if left <= 0:
            return rates
        return _("{rates}, {duration} left").format(rates=rates, duration=format_duration(left / objects))


def format_rate(view: OperationView) -> str:
    """The overall rates of an operation; "" while unknown."""
    if not view.finished or view.seconds <= 0:
        return ""
    return _format_rates(view.finished / view.seconds, view.bytes / view.seconds)


def _format_rates(objects: float, size: float) -> str:
    """``322/s, 4.2 MiB/s``; without bytes where there are none."""
    text = f"{format_number(objects) if objects >= 10 else format_decimal(objects)}/s"
    return f"{text}, {format_size(size)}/s" if size else text


def _format_done(view: OperationView) -> str:
    if not view.total:
        return ""
    done, total = format_number(view.finished), format_number(view.total)
    return ngettext("{done} of {total}", "{done} of {total}", view.total).format(done=done, total=total)


def _format_failed(view: OperationView) -> str:
    if not view.failure:
        return ""
    return ngettext("{count} failed", "{count} failed", view.failure).format(count=format_number(view.failure))


class _Watch(Protocol):
    def show(self, view: OperationView) -> None: ...

    def note(self, text: str) -> None: ...


def _watch() -> AbstractContextManager[_Watch]:
    return Bar() if console(stderr=True).is_terminal else Lines()


class Bar(AbstractContextManager["Bar"]):
    """A progress bar in place."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._noted = ""
        columns = ("done", "size", "failed", "pace")
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(28),
            *(TextColumn(f"{{task.fields[{name}]}}", markup=False, style=_STYLES[name]) for name in columns),
            console=console(stderr=True),
        )
        self._task = self._progress.add_task(_("waiting"), total=None, done="", size="", failed="", pace="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self._progress.stop()

    def show(self, view: OperationView) -> None:
        self._pace.add(view.finished, view.bytes, time.monotonic())
        self._progress.update(
            self._task,
            description=view.title,
            completed=view.finished or (1 if view.done else 0),
            total=view.total or (1 if view.done else None),
            done=_format_done(view),
            size=format_size(view.bytes) if view.bytes else "",
            failed=_format_failed(view),
            pace=self._pace.text(view),
        )

    def note(self, text: str) -> None:
        if text != self._noted:
            note(text, "yellow")
        self._noted = text


_STYLES = {"done": "default", "size": "default", "failed": "red", "pace": "dim"}


class Lines(AbstractContextManager["Lines"]):
    """One line every few seconds, and one at the end."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._next = 0.0
        self._noted = ""

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        return

    def show(self, view: OperationView) -> None:
        now = time.monotonic()
        self._pace.add(view.finished, view.bytes, now)
        if now < self._next and not view.done:
            return
        self._next = now + LINE_EVERY
        counts = _format_done(view) or view.state_title
        size = format_size(view.bytes) if view.bytes else ""
        note(f"{view.title}: " + ", ".join(filter(None, (counts, size, _format_failed(view), self._pace.text(view)))))

    def note(self, text: str) -> None:
        if text != self._noted:
            note(text)
        self._noted = text
