"""Removes objects of a bucket that came after they had been given up: a request without an answer, or of a process that
was killed, may be carried out later. Where that may happen is listed as a prefix (``gantry.late_writes``) by the
transaction that ends the lot of uploads or the operation. It is searched when nothing can come any more, and once more
a day later: a server that was frozen may have sent a request before it noticed that it was taken for dead."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from itertools import islice

from gantry.errors import StatusError
from gantry.late_writes import make_late, parse_late, parse_searched
from gantry.operations.interruption import make_stop_check
from gantry.seams import Seams, without_gaps
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)

LATE_SECONDS = 3600.0
"""S3 and Azure refuse a request 15 minutes after it was signed, and a token of Google ends after an hour. Counted from
when this process has seen the key first, so that no clock that jumps has a part in it."""
AGAIN_SECONDS = 86_400.0
"""From the first search to the last one, by the clock of the machine: the list outlives processes. One that jumps makes
a day shorter or longer."""

_KEYS = 500  # of one query
_CHUNK = 10_000
"""Objects looked up at once: each look-up of objects that hold one instance reads all rows."""


class LateSweeps:
    """Call ``run`` again and again."""

    def __init__(self, seams: Seams, stopping: threading.Event) -> None:
        self._seams, self._check = seams, make_stop_check(stopping)
        self._seen: dict[str, float] = {}

    def run(self) -> None:
        """Search each prefix that has waited long enough; it takes a request for 1,000 objects. One that cannot be
        searched now is tried again, less and less often. Raises Stopping, and what the index raises."""
        seams = self._seams
        now, keys = time.monotonic(), list(self._list())
        self._seen = {key: self._seen.get(key, now) for key in keys}
        for key in keys:
            self._check()
            if seams.is_held() or seams.index.find_damage():
                return
            if self._has_waited(key, now) and seams.undeletable.is_due(key):
                self._search(key)

    def _has_waited(self, key: str, now: float) -> bool:
        searched = parse_searched(key)
        if searched is None:
            return now - self._seen[key] >= LATE_SECONDS
        return abs(time.time() - searched) >= AGAIN_SECONDS  # the clock may have been wrong then

    def _list(self) -> Iterator[str]:
        last = "late"
        while keys := self._seams.index.garbage.list_blobs(last, _KEYS):
            yield from (found := [key for key in keys if parse_late(key) is not None])
            if len(found) < len(keys):
                return  # they stand beside each other
            last = keys[-1]

    def _search(self, key: str) -> None:
        seams, prefix = self._seams, parse_late(key) or ""
        try:
            count = delete_unnamed(seams, prefix, self._check)
        except StatusError as error:
            if error.waits_for is None and seams.undeletable.fail(key):
                logger.warning("what came late below %s stays for now: %s", prefix, error.message)
            return
        if count is None:
            return
        if count:
            logger.warning("%d objects below %s came after they had been given up; they are removed", count, prefix)
        if parse_searched(key) is None:
            seams.index.garbage.add_blobs([make_late(prefix, int(time.time()))])
        seams.index.garbage.forget_blobs([key])
        seams.undeletable.succeed(key)


def delete_unnamed(seams: Seams, prefix: str, check: Check) -> int | None:
    """Delete the objects below a prefix that no row names, and the parts of those that are not whole; how many objects,
    None where a backup is made. Nobody may write
    there any more: then a segment has a row as long as one of its instances has. Raises the error of one that cannot be
    deleted."""
    found, count = without_gaps(seams.blobs.list(prefix, check=check)), 0
    while keys := [item.key for item in islice(found, _CHUNK)]:
        seams.index.settle()
        named = seams.index.uploads.find_named(keys)
        unnamed = [key for key in keys if key not in named]
        if unnamed and seams.is_held():  # asked last: a copy of the index may name what had no row just now
            return None
        for error in seams.blobs.delete_all(unnamed).values() if unnamed else ():
            raise error
        count += len(unnamed)
    seams.blobs.end_uploads(prefix)
    return count
