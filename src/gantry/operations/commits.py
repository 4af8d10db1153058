"""Commits the batches of an operation and its end. The only module that commits batches."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from gantry.counters import NO_TRANSFER, Transfer
from gantry.errors import AlreadyExists, Code, NotFound, Status, StatusError, TakenOver
from gantry.histogram import Histogram
from gantry.operations.batch_writers import with_segments
from gantry.operations.blob_keys import list_late, list_rests, sweep_at_end
from gantry.operations.import_dicom_data import settle
from gantry.operations.interruption import go_on
from gantry.operations.retention import report_failures
from gantry.operations.sweeper import sweep_some_garbage
from gantry.reasons import Reason
from gantry.resources import CANCELLED, Batch, Committed, Failure, Method, Operation, StoredInstance, Uids
from gantry.seams import Seams
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a commit to a local disk to the longest wait for a turn to write (``index.database.WAIT``)."""


class Totals:
    """Counts of processed objects since the start of the server, by (method, outcome), and what was transferred, by
    method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._codes: Counter[tuple[str, str, str]] = Counter()
        self._transfers: dict[str, Transfer] = {}
        self._commits: dict[str, Histogram] = {}

    def add(self, method: Method, batch: Batch, committed: Committed, seconds: float) -> None:
        """``seconds`` is how long the transaction took."""
        name, lost = method.value.rpartition(".")[2], committed.lost
        statuses = [failure.status for failure in batch.failures]
        codes = [(each.code.name, each.reason.value) for each in statuses]
        codes += [(code.name, code.name) for code in committed.codes]
        with self._lock:
            self._codes.update((name, *each) for each in codes)
            self._commits.setdefault(name, Histogram(_SECONDS)).observe(seconds)
            self._counts[name, "success"] += batch.succeeded - lost
            self._counts[name, "failure"] += len(batch.failures) + lost
            if any(batch.transfer):
                pairs = zip(self._transfers.get(name, NO_TRANSFER), batch.transfer, strict=True)
                self._transfers[name] = Transfer(*map(sum, pairs))

    def read(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._counts)

    def read_codes(self) -> dict[tuple[str, str, str], int]:
        """Failures by (method, code, reason)."""
        with self._lock:
            return dict(self._codes)

    def read_commits(self) -> dict[str, tuple[list[tuple[str, int]], float]]:
        """The transactions of batches by method, as ``Histogram.read``."""
        with self._lock:
            return {method: each.read() for method, each in self._commits.items()}

    def read_transfers(self) -> dict[str, Transfer]:
        with self._lock:
            return dict(self._transfers)


def commit(seams: Seams, operation: Operation, runner: str, batch: Batch, totals: Totals, check: Check = go_on) -> bool:
    """Commit one batch; True when a cancel of the operation was requested."""
    stored: dict[Uids, StoredInstance] = {}
    uids = [item.uids for item in batch.instances]
    while True:
        settled = settle(seams, batch, stored, check)
        if _has_doubts(batch, settled):
            # Bytes that could not be read may have been moved just then: look up where they are now.
            before, stored = stored, seams.index.instances.find_stored(operation.store_id, uids)
            if stored != before:
                continue
        begun = time.monotonic()
        try:
            committed = seams.index.operations.commit_batch(operation, runner, with_segments(settled))
        except AlreadyExists:
            # Looked up only now: the usual case, where nothing is stored yet, needs no look-up.
            stored = seams.index.instances.find_stored(operation.store_id, uids)
            continue
        totals.add(operation.method, settled, committed, time.monotonic() - begun)
        report_failures(seams, operation, committed.logged)
        gives_up = settled.garbage or settled.changes or settled.replacements
        if gives_up and seams.members.is_keeper:  # one server rewrites segments: not every S3 knows conditions
            with suppress(StatusError):  # the batch is committed; the sweeper tries again later
                sweep_some_garbage(seams)
        return committed.cancel_requested


def _has_doubts(batch: Batch, settled: Batch) -> bool:
    """Whether stored bytes were not found to be whole when the batch was settled."""
    lost = any(failure.status.code is Code.DATA_LOSS for failure in settled.failures[len(batch.failures) :])
    return lost or len(settled.replacements) > len(batch.replacements)


def finish(
    seams: Seams,
    operation: Operation,
    runner: str,
    error: Status | None,
    subject: str = "",
    check: Check = go_on,
    warnings: Sequence[Failure] = (),
) -> None:
    """Mark the operation done. ``error`` is an error of the whole operation, not of one object.

    ``subject`` is the object that the error is about, if it is not ``operation.subject``. ``warnings`` are those of its
    end. Raises TakenOver.
    """
    try:
        left = sweep_at_end(seams, operation, check)
    except NotFound:
        raise TakenOver(f"operation {operation.name} was deleted while it ran") from None
    error_or_partial = error or _describe_partial_failure(seams, operation)
    entries = () if error is None else (Failure(subject or operation.subject, error),)
    # The first attempt, without an error, has given nothing up: a batch that has is made again by another one, and one
    # that has sent a request again says where.
    late = list_late(seams, operation) if error is not None or operation.attempt > 1 else []
    rests = partial(_list_left, operation, left, late)
    seams.index.operations.finish_operation(operation, runner, error_or_partial, entries, rests, warnings)
    report_failures(seams, operation, len(entries) + len(warnings))
    _log_end(seams, operation, error)


def _log_end(seams: Seams, operation: Operation, error: Status | None) -> None:
    """What it was, how long it took and what came of it."""
    with suppress(StatusError):  # it is done, whatever becomes of the line
        done = seams.index.operations.get_operation(operation.name)
        seconds = ((done.end_time or done.create_time) - done.create_time).total_seconds()
        logger.info(
            "operation %s: %s in %.1f s: %d succeeded, %d failed, %d bytes; %s of %s",
            *(operation.name, "ended" if error is not None else "done", seconds),
            *(done.counter.success, done.counter.failure, done.transfer.bytes),
            *(operation.method.value.rpartition(".")[2], operation.subject),
        )


def cancel(seams: Seams, operation: Operation, runner: str) -> None:
    """Mark an operation cancelled whose thread hangs, or that has none. It touches no disk but that of the index, and
    the thread may come back and commit a batch just now: what is not committed becomes garbage. Raises TakenOver."""
    entries = (Failure(operation.subject, CANCELLED),)
    rests = partial(_list_left, operation, seams.places, list_late(seams, operation))
    seams.index.operations.finish_operation(operation, runner, CANCELLED, entries, rests)
    report_failures(seams, operation, len(entries))
    logger.info("operation %s: cancelled", operation.name)


def _list_left(operation: Operation, places: Sequence[str], late: Sequence[str], committed: str) -> list[str]:
    return [*list_rests(operation, places, committed), *late]


def _describe_partial_failure(seams: Seams, operation: Operation) -> Status | None:
    counter = seams.index.operations.get_operation(operation.name).counter
    if not counter.failure:
        return None
    kinds = seams.index.logs.list_failure_kinds(operation.name)
    codes, reasons = {code for code, _ in kinds}, {reason for _, reason in kinds}
    first = seams.index.logs.get_first_failure(operation.name)
    total = counter.success + counter.failure
    return Status(
        codes.pop() if len(codes) == 1 else Code.UNKNOWN,
        f"{counter.failure} of {total} failed, {counter.success} succeeded. "
        f"The first failure: {first.resource}: {first.status.message}",
        kind=reasons.pop() if len(reasons) == 1 else Reason.SEVERAL,
    )
