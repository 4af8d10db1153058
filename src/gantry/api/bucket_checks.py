"""Checks of what this server can do with its buckets: in threads of their own, because a bucket may give no answer for
minutes. What was found is kept in memory until the next check."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from gantry.checking.bucket_rights import Trial, try_rights, try_writing
from gantry.errors import StatusError
from gantry.seams import Bucket

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 20.0
"""A check that takes longer counts as one without an answer. Its thread goes on: what it has written it deletes."""
_THREADS, _MOST_KEPT = 8, 1000  # checks at a time, without those that give no answer; results


class Checked(NamedTuple):
    """What is checked: a bucket, below ``read`` and below ``write`` (prefixes of keys); None: not tried."""

    address: str
    read: str | None
    write: str | None
    holds_blobs: bool = False


@dataclass(slots=True, eq=False)
class Check:
    """``trials`` are None until it has ended; ``problem`` is why none could be made."""

    begun: float
    time: datetime
    trials: Sequence[Trial] | None = None
    problem: str = ""

    @property
    def is_done(self) -> bool:
        return self.trials is not None

    @property
    def gives_no_answer(self) -> bool:
        return not self.is_done and time.monotonic() - self.begun > ANSWER_SECONDS

    def find(self, right: str) -> Trial | None:
        return next((each for each in self.trials or () if each.right == right), None)


class BucketChecks:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Checked, Check] = {}
        self._waiting: deque[tuple[Checked, Callable[[], Bucket]]] = deque()
        self._running: list[Check] = []

    @property
    def has_any(self) -> bool:
        return bool(self._found)

    def get(self, wanted: Checked) -> Check | None:
        """The latest check, which may still run; None where there was none."""
        return self._found.get(wanted)

    def begin(self, wanted: Checked, reach: Callable[[], Bucket]) -> None:
        """Check, unless that is being done. ``reach`` raises StatusError where the bucket is not there."""
        with self._lock:
            if wanted not in self._found or self._found[wanted].is_done:
                self._found[wanted] = _begin()
                self._waiting.append((wanted, reach))
            self._forget_oldest()
            if self._waiting and sum(not each.gives_no_answer for each in self._running) < _THREADS:
                threading.Thread(target=self._work, name="bucket check", daemon=True).start()

    def _forget_oldest(self) -> None:
        done = [each for each, check in self._found.items() if check.is_done]
        for each in done[: max(0, len(self._found) - _MOST_KEPT)]:
            del self._found[each]

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                wanted, reach = self._waiting.popleft()
                check = self._found[wanted] = _begin()
                self._running.append(check)
            _run(check, wanted, reach)
            with self._lock:
                self._running.remove(check)


def _begin() -> Check:
    return Check(time.monotonic(), datetime.now(UTC))


def _run(check: Check, wanted: Checked, reach: Callable[[], Bucket]) -> None:
    try:
        check.trials = _try(reach(), wanted)
    except StatusError as error:
        check.problem = error.message
    except Exception:
        logger.exception("an unexpected error while bucket %s is checked", wanted.address)
        check.problem = "cannot be checked; the server's log has the details"
    finally:
        if check.trials is None:
            check.trials = ()


def _try(bucket: Bucket, wanted: Checked) -> list[Trial]:
    found = [] if wanted.read is None else list(try_rights(bucket, wanted.read, write=False))
    if wanted.write is not None:
        compare = all(each.works is not False for each in found)
        found += try_writing(bucket, wanted.write, compare, wanted.holds_blobs)
    return found
