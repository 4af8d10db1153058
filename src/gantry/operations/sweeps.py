"""The background work of a server besides operations: removal of blobs, old operations and incomplete uploads; reading
headers again after an upgrade."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gantry.errors import StatusError
from gantry.operations.backfill import describe_old, describe_rest
from gantry.operations.compaction import compact_segments, join_segments
from gantry.operations.describe_anew import describe_anew
from gantry.operations.following import Following, Work
from gantry.operations.interruption import Stopping
from gantry.operations.late_sweeps import LateSweeps
from gantry.operations.notifying import Notifying
from gantry.operations.retention import sweep_changes, sweep_operations
from gantry.operations.streaming import Streaming
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.operations.table_use import sweep_tables
from gantry.operations.unfinished_exports import sweep_unfinished
from gantry.seams import Seams
from gantry.studies.upload_sweeps import sweep_uploads

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 5  # after an unexpected error


@dataclass(frozen=True, slots=True)
class Chore:
    """Recurring work: it runs again ``seconds`` after its end, or only once for 0.

    ``woken`` chores also run as soon as blobs lose their rows. A ``long`` chore has its own thread.
    """

    name: str
    function: Callable[[], None]
    seconds: float
    woken: bool = False
    long: bool = False


def make_chores(
    seams: Seams,
    stopping: threading.Event,
    busy: Callable[[], set[int]],
    running: Callable[[], Collection[int]] = tuple,
) -> list[Chore]:
    """All chores. ``busy`` returns the ids of the stores that operations are writing to, ``running`` the numbers of the
    operations."""
    if not seams.members.is_shared:  # read before this process begins any upload
        seams.left_lots[:] = seams.index.uploads.list_uploads()
    shared = _make_shared(seams, stopping, busy, running)
    return [*_make_own(seams, stopping), *_make_followers(seams, stopping), *(_for_all(seams, each) for each in shared)]


def _make_followers(seams: Seams, stopping: threading.Event) -> list[Chore]:
    """One server does it for all; the others forget what they knew of it."""
    works: tuple[Work, ...] = Notifying(seams, stopping), Streaming(seams, stopping)
    return [Chore(work.name, Following(seams, work, stopping).run, 1, long=True) for work in works]


def _make_own(seams: Seams, stopping: threading.Event) -> list[Chore]:
    """What each server does for itself."""
    return [
        Chore("room for the index", seams.index.keep_reserve, 10),
        Chore("examination of the index", seams.index.examine, 5, long=True),
        Chore("uploads", partial(_sweep_uploads, seams, stopping), 5),
    ]


def _sweep_uploads(seams: Seams, stopping: threading.Event) -> None:
    if seams.members.is_shared and seams.members.is_keeper:
        seams.left_lots.extend([each for each in seams.index.uploads.list_uploads() if each not in seams.left_lots])
    sweep_uploads(seams, seams.left_lots, stopping)


def _for_all(seams: Seams, chore: Chore) -> Chore:
    """One server does it for all that share the index."""

    def run() -> None:
        if not seams.members.is_keeper:
            raise _NotMine
        chore.function()

    return replace(chore, function=run)


class _NotMine(Exception):
    """Another server does it."""


def _make_shared(
    seams: Seams, stopping: threading.Event, busy: Callable[[], set[int]], running: Callable[[], Collection[int]]
) -> list[Chore]:
    def list_running() -> set[int]:
        return {*running(), *seams.members.list_running()}

    return [
        Chore("garbage", partial(sweep_garbage, seams, stopping), 5, woken=True),
        Chore("deleted stores", lambda: sweep_stores(seams, stopping, busy()), 5, woken=True),
        Chore("old operations", partial(sweep_operations, seams, stopping), 60, woken=True),
        Chore("old changes", partial(sweep_changes, seams, stopping), 60),
        Chore("unfinished exports", partial(sweep_unfinished, seams, stopping, list_running), 5, long=True),
        Chore("tables", partial(sweep_tables, seams), 60, long=True),
        Chore("late writes", LateSweeps(seams, stopping).run, 60, long=True),
        Chore("sparse segments", partial(_compact, seams, stopping), 600, long=True),
        Chore("descriptions", partial(_describe, seams, stopping), 0, long=True),
    ]


def _compact(seams: Seams, stopping: threading.Event) -> None:
    compact_segments(seams, stopping)
    join_segments(seams, stopping)


def _describe(seams: Seams, stopping: threading.Event) -> None:
    """Read headers again after an upgrade: this may take hours."""
    some_left = describe_old(seams, stopping)
    describe_anew(seams, stopping)
    if some_left:
        describe_rest(seams, stopping)


class Sweeps:
    """Runs chores until ``stopping`` is set. Each function in ``works`` is to be run in its own thread."""

    def __init__(self, chores: Sequence[Chore], stopping: threading.Event) -> None:
        self._stopping = stopping
        self._wake = threading.Event()
        short = [chore for chore in chores if not chore.long]
        groups = [short, *([chore] for chore in chores if chore.long)]
        self.works = [partial(self._work, group) for group in groups if group]

    def wake(self) -> None:
        """Run the ``woken`` chores now, or end, if the server stops."""
        self._wake.set()

    def _work(self, chores: Sequence[Chore]) -> None:
        due = {chore.name: 0.0 for chore in chores}
        while due and not self._stopping.is_set():
            woken = any(chore.woken for chore in chores) and self._wake.is_set()
            if woken:
                self._wake.clear()
            for chore in chores:
                if chore.name in due and (due[chore.name] <= time.monotonic() or (woken and chore.woken)):
                    done = self._run(chore)
                    if done and not chore.seconds:
                        del due[chore.name]
                    else:
                        due[chore.name] = time.monotonic() + (chore.seconds or _AGAIN_SECONDS)
            if due:
                self._pause(min(due.values()) - time.monotonic(), any(chore.woken for chore in chores))

    def _pause(self, seconds: float, woken: bool) -> None:
        (self._wake if woken else self._stopping).wait(max(0.0, seconds))

    def _run(self, chore: Chore) -> bool:
        """Run a chore; False where it must be tried again."""
        try:
            chore.function()
        except (Stopping, _NotMine):
            return False
        except StatusError as error:
            logger.warning("the background work %r is tried again: %s", chore.name, error.message)
            return False
        except Exception:
            logger.exception("an unexpected error in the background work %r; it is tried again", chore.name)
            return False
        return True
