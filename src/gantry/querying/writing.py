"""Rows as one object of a bucket, which may give no answer: who waits for it is told, and what hangs is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from gantry.beats import CALL_BYTES, CALL_SECONDS
from gantry.calls_that_hang import call_hearing, hearing
from gantry.errors import DeadlineExceeded
from gantry.query_seams import Batch
from gantry.seams import BucketUse, Seams
from gantry.worker_calls import Check

_HELD = 8 << 20  # bytes that a bucket may hold back before it sends them
MakeChunks = Callable[[Iterable[Batch]], Iterable[bytes]]


def write_rows(seams: Seams, use: BucketUse, make_chunks: MakeChunks, batches: Iterable[Batch], check: Check) -> int:
    """Write the object ``use.prefix``; the number of rows. It is there whole, or not at all.

    Raises DeadlineExceeded where the bucket gives no answer for as long as a worker of an operation may be silent;
    also what ``check`` and ``make_chunks`` raise, and a bucket.
    """
    counted = _Counted(use.bucket, batches, check)

    def write() -> None:
        with hearing(counted.check):
            bucket = seams.bucket(use)
            bucket.put(use.prefix, make_chunks(counted))
            counted.go_on(counted.size)  # all of it is synced
            bucket.flush()

    call_hearing(write, counted.check)
    return counted.rows


class _Counted:
    """Batches on their way. Once ``check`` has raised an error it does so again: who has been left behind, and goes on
    all the same, writes nothing."""

    def __init__(self, bucket: str, batches: Iterable[Batch], check: Check) -> None:
        self.rows = self.size = 0
        self._bucket, self._batches, self._check = bucket, batches, check
        self._failed: Exception | None = None
        self._allow(0)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            self.go_on(len(batch.text))
            self.rows, self.size = self.rows + batch.count, self.size + len(batch.text)
            yield batch

    def go_on(self, size: int) -> None:
        """So many bytes are written next."""
        self.check()
        self._allow(size)

    def _allow(self, size: int) -> None:
        self._begun, self._seconds = time.monotonic(), CALL_SECONDS + (size + _HELD) / CALL_BYTES

    def check(self) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            self._check()
            if (silent := time.monotonic() - self._begun) > self._seconds:
                raise DeadlineExceeded(
                    f"bucket {self._bucket} has given no answer for {silent:.0f} seconds", advice="try again later"
                )
        except Exception as error:
            self._failed = error
            raise
