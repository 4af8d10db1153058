"""Claims operations and carries them to their end. The only one who commits."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import closing, suppress

from gantry.errors import Aborted, AlreadyExists, Cancelled, Code, Internal, Interrupted, NotFound, Status, StatusError
from gantry.operations.backfill import describe_old
from gantry.operations.blob_keys import sweep_attempt, sweep_uncommitted
from gantry.operations.describe_anew import describe_anew
from gantry.operations.export_dicom_data import export_dicom_data
from gantry.operations.import_dicom_data import import_dicom_data, settle
from gantry.operations.retention import sweep_operations, tell_failures
from gantry.operations.set_blob_storage_settings import set_blob_storage_settings
from gantry.operations.sweeper import sweep_garbage, sweep_some_garbage, sweep_stores
from gantry.operations.update_metadata import update_metadata
from gantry.resources import Batch, Failure, Method, Operation
from gantry.seams import Seams
from gantry.studies.uploads import sweep_uploads

logger = logging.getLogger(__name__)

Verb = Callable[[Seams, Operation], Generator[Batch, None, None]]
_CANCELLED = "the operation was cancelled; what was done before remains"
VERBS: dict[Method, Verb] = {
    Method.IMPORT_DICOM_DATA: import_dicom_data,
    Method.EXPORT_DICOM_DATA: export_dicom_data,
    Method.SET_BLOB_STORAGE_SETTINGS: set_blob_storage_settings,
    Method.UPDATE_STUDY_METADATA: update_metadata,
    Method.UPDATE_SERIES_METADATA: update_metadata,
}


class Totals:
    """Objects carried since the start, by (method, outcome)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, method: Method, batch: Batch, lost: int) -> None:
        """``lost`` are changes and replacements of the batch that failed after all."""
        name = method.value.rpartition(".")[2]
        with self._lock:
            self._counts[name, "success"] += batch.succeeded - lost
            self._counts[name, "failure"] += len(batch.failures) + lost

    def read(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._counts)


class Runner:
    """Runs operations in threads of its own, ``slots`` at a time, from ``start`` to ``stop``.

    What is under way at ``stop`` stays claimed and is taken up at the checkpoint by the next runner.
    """

    def __init__(self, seams: Seams, slots: int = 4) -> None:
        self.id = secrets.token_hex(8)
        self.totals = Totals()
        self._active: dict[int, int] = {}  # operation id → store id
        self._seams = seams
        self._wake = threading.Semaphore(0)
        self._unclean = threading.Event()
        self._left_uploads = seams.index.uploads.list_uploads()  # before this process begins any
        self._broken_off: deque[Operation] = deque()  # not given back yet
        self._stopping = threading.Event()
        works = [("sweeper", self._keep_clean), ("describer", self._describe)]
        works += [(f"runner-{number}", self._work) for number in range(slots)]
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> int:
        """Operations under way."""
        return len(self._active)

    def notify(self) -> None:
        """Something may be there to do: a new operation, a deleted store."""
        self._wake.release()
        self._unclean.set()

    def stop(self) -> None:
        """Return when every thread has committed its present batch and ended."""
        self._stopping.set()
        self._unclean.set()
        for _ in self._threads:
            self._wake.release()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._give_back()
                operation = self._seams.index.operations.claim_operation(self.id)
                if operation is not None:
                    self._carry(operation)
                    continue
            except Exception:
                logger.exception("a runner met an error it did not expect; it goes on")
            self._wake.acquire(timeout=5)

    def _give_back(self) -> None:
        """Let operations that broke off be claimed again. Raises Interrupted, and they stay on the list."""
        with suppress(IndexError):
            while True:
                operation = self._broken_off.popleft()
                try:
                    self._seams.index.operations.release_operation(operation, self.id)
                except StatusError:
                    self._broken_off.append(operation)
                    raise

    def _keep_clean(self) -> None:
        """On a thread of its own: what is deleted to make room goes while imports go on."""
        while not self._stopping.is_set():
            self._unclean.clear()
            for work in (self._sweep_garbage, self._sweep_stores, self._sweep_operations, self._sweep_uploads):
                try:
                    work()
                except Exception:
                    logger.exception("the sweeper met an error it did not expect; it goes on")
            self._unclean.wait(timeout=5)

    def _sweep_garbage(self) -> None:
        sweep_garbage(self._seams, self._stopping)

    def _sweep_stores(self) -> None:
        sweep_stores(self._seams, self._stopping, busy=set(self._active.values()))

    def _describe(self) -> None:
        """On a thread of its own, which ends when nothing of an older version is left: this may take hours."""
        while not self._stopping.is_set():
            try:
                describe_old(self._seams, self._stopping)
                describe_anew(self._seams, self._stopping)
                return
            except Exception:
                logger.exception("describing what an older version stored met an error it did not expect; it goes on")
            self._stopping.wait(5)

    def _sweep_uploads(self) -> None:
        sweep_uploads(self._seams, self._left_uploads, self._stopping)

    def _sweep_operations(self) -> None:
        sweep_operations(self._seams, self._stopping)

    def _carry(self, operation: Operation) -> None:
        self._active[operation.name.id] = operation.store_id
        logger.info("operation %s: attempt %d begins", operation.name, operation.attempt)
        try:
            carry(self._seams, operation, self.id, self._stopping, self.totals)
        except Aborted as error:
            logger.warning("%s", error.message)
        except Interrupted as error:
            logger.warning("operation %s: attempt %d broke off: %s", operation.name, operation.attempt, error.message)
            self._stopping.wait(5)
            self._broken_off.append(operation)
        except Exception:
            logger.exception("operation %s: attempt %d broke off", operation.name, operation.attempt)
            self._stopping.wait(5)
            self._broken_off.append(operation)
        finally:
            del self._active[operation.name.id]


def carry(seams: Seams, operation: Operation, runner: str, stopping: threading.Event, totals: Totals) -> None:
    """One operation from its checkpoint to its end, or to a commit after ``stopping`` is set."""
    sweep_uncommitted(seams, operation)
    committed, error, subject = operation.blob_prefix, None, ""
    try:
        if operation.cancel_requested:
            raise Cancelled(_CANCELLED)
        with closing(VERBS[operation.method](seams, operation)) as batches:
            for batch in batches:
                cancel = commit(seams, operation, runner, batch, totals)
                committed = batch.blob_prefix or committed
                if cancel:
                    raise Cancelled(_CANCELLED)
                if stopping.is_set():
                    return
    except Aborted:
        sweep_attempt(seams, operation, committed)
        raise
    except Interrupted:
        raise
    except StatusError as failed:
        error, subject = failed.status, failed.resource
    except Exception:
        logger.exception("operation %s failed", operation.name)
        error = Internal("an internal error; the server's log has the details").status
    finish(seams, operation, runner, error, subject)


def commit(seams: Seams, operation: Operation, runner: str, batch: Batch, totals: Totals) -> bool:
    """Write one batch; True when the operation is to be cancelled."""
    stored: dict[tuple[str, str, str], str] = {}
    while True:
        settled = settle(seams, batch, stored)
        if any(failure.status.code is Code.DATA_LOSS for failure in settled.failures[len(batch.failures) :]):
            # Bytes that could not be read may have been moved just then, and stand somewhere else now.
            before, stored = stored, seams.index.instances.find_blobs(operation.store_id, batch.instances)
            if stored != before:
                continue
        try:
            committed = seams.index.operations.commit_batch(operation, runner, settled)
        except AlreadyExists:
            # Looking only now keeps the ordinary case, nothing stored before, free of a look-up per instance.
            stored = seams.index.instances.find_blobs(operation.store_id, batch.instances)
            continue
        totals.add(operation.method, settled, committed.lost)
        tell_failures(seams, operation, committed.logged)
        if settled.garbage or settled.changes or settled.replacements:
            with suppress(StatusError):  # what is committed stands; the sweeper comes by again
                sweep_some_garbage(seams)
        return committed.cancel_requested


def finish(seams: Seams, operation: Operation, runner: str, error: Status | None, subject: str = "") -> None:
    """Name the outcome and mark the operation done; ``error`` is one of the operation, not of an object.

    ``subject`` is what that error is about, if not what was asked for. Raises Aborted.
    """
    try:
        sweep_uncommitted(seams, operation)
    except NotFound:
        raise Aborted(f"operation {operation.name} was deleted while it ran") from None
    entries = () if error is None else (Failure(subject or _subject(operation), error),)
    seams.index.operations.finish_operation(operation, runner, error or _partial_failure(seams, operation), entries)
    tell_failures(seams, operation, len(entries))
    logger.info("operation %s: done", operation.name)


def _partial_failure(seams: Seams, operation: Operation) -> Status | None:
    counter = seams.index.operations.get_operation(operation.name).counter
    if not counter.failure:
        return None
    codes = seams.index.logs.list_failure_codes(operation.name)
    first = seams.index.logs.get_first_failure(operation.name)
    total = counter.success + counter.failure
    return Status(
        codes[0] if len(codes) == 1 else Code.UNKNOWN,
        f"{counter.failure} of {total} failed, {counter.success} succeeded. "
        f"The first failure: {first.resource}: {first.status.message}",
    )


def _subject(operation: Operation) -> str:
    request = operation.request
    fields = ("uri", "uri_prefix", "filter_uri")
    return str(next((request[field] for field in fields if request.get(field)), operation.store))
