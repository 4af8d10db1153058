"""Claims operations and runs them to completion."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from contextlib import suppress

from gantry.errors import Internal, StatusError, TakenOver, Wait
from gantry.membership import State
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals, cancel
from gantry.operations.sweeps import Sweeps, make_chores
from gantry.operations.waits import Waits, from_json, to_json
from gantry.resources import Method, Operation, Waiting
from gantry.seams import Seams
from gantry.worker_calls import SILENT_SECONDS

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5  # between two looks for operations that came without ``notify``
_SHARED_LOOK_SECONDS = 1  # where they come to other servers
_WAIT_SECONDS = 0.5  # between two looks at waiting operations: a cancel takes effect within a second
_HANG_SECONDS = 5.0
"""Without a sign of life, until a cancel is carried out without the thread that runs the operation."""

_BUCKETS = (Method.IMPORT_DICOM_DATA, Method.EXPORT_DICOM_DATA)
_STOP_SECONDS = 8
"""Threads stop within a second; one that hangs in a system call must not delay the end of the process."""


class Runner:
    """Runs operations and sweeps in threads of its own, ``slots`` operations at a time, from ``start`` to ``stop``.

    An operation that is running at ``stop`` stays claimed; the next runner continues it at its checkpoint. One that
    waits takes no slot. With 0 slots other servers run all operations.
    """

    def __init__(self, seams: Seams, slots: int = 4) -> None:
        self.id = seams.members.id or secrets.token_hex(8)
        self._look_seconds = _SHARED_LOOK_SECONDS if seams.members.is_shared else _LOOK_SECONDS
        self.totals = Totals()
        self.waits = Waits()
        self._active: dict[int, Operation] = {}
        self._stuck: set[int] = set()  # those of ``_active`` whose threads hang
        self._cancelled: set[int] = set()  # those of ``_active`` that were cancelled while their threads hang
        self._lock = threading.Lock()
        self._seams = seams
        self._wake = threading.Semaphore(0)
        self._stopping = threading.Event()
        chores = make_chores(seams, self._stopping, self._list_busy_stores, self._list_running)
        self._sweeps = Sweeps(chores, self._stopping)
        works = [(f"runner-{number}", self._work) for number in range(slots)]
        works += [(f"sweeper-{number}", work) for number, work in enumerate(self._sweeps.works)]
        works.append(("waits", self._watch))
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _list_busy_stores(self) -> set[int]:
        return {operation.store_id for operation in list(self._active.values())}

    def _list_running(self) -> list[int]:
        return list(self._active)

    def describe(self) -> State:
        """What other servers must know of this one."""
        waiting = {each.name.id: self.waits.find(each.name.id) for each in self.waits.list_waiting()}
        running = {number: self.waits.find(number) for number in list(self._active)}
        operations = {number: to_json(waits) for number, waits in (waiting | running).items()}
        return State(self._list_busy_stores(), operations)

    def find_waiting(self, number: int) -> Waiting | None:
        """What an operation waits for, here or at another server."""
        return self.waits.find(number) or from_json(self._seams.members.find_state(number))

    @property
    def running(self) -> int:
        """How many operations are running."""
        return len(self._active)

    def notify(self) -> None:
        """Report that there is a new operation."""
        self._wake.release()

    def sweep(self) -> None:
        """Report that blobs have lost their rows: something was deleted or replaced."""
        self._sweeps.wake()

    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def begin_stop(self) -> None:
        """Tell all threads to stop; returns at once."""
        self._stopping.set()
        self._sweeps.wake()
        for _ in self._list_threads():
            self._wake.release()

    def _list_threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def stop(self) -> None:
        """Return when every thread has ended, or ``_STOP_SECONDS`` have passed."""
        self.begin_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._list_threads():
            if thread.ident is not None:  # None for a thread that was never started
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    logger.warning("%s does not stop; its work continues at the next start", thread.name)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._is_surplus():
                    return
                operation = self._claim_due() or self._seams.index.operations.claim_operation(self.id)
                if operation is not None:
                    self._run(operation)
                    continue
            except StatusError as error:
                logger.warning("operations wait: %s", error.message)
            except Exception:
                logger.exception("an unexpected error in a runner; it continues")
            self._wake.acquire(timeout=self._look_seconds)

    def _is_surplus(self) -> bool:
        """Whether a thread that hung is back, and another one works in its stead."""
        with self._lock:  # of two threads, one ends
            back = self._stuck - self._active.keys()
            self._stuck -= set(list(back)[:1])
            return bool(back)

    def _claim_due(self) -> Operation | None:
        """Claim an operation again that has waited long enough. It stays claimed meanwhile, so that no other runner
        takes it."""
        while (operation := self.waits.take_due()) is not None:
            try:
                again = self._seams.index.operations.claim_again(operation, self.id)
            except Exception as error:
                self._wait(operation, error)
                return None
            if again is not None:
                return again
            self.waits.end(operation.name.id)  # it was deleted, or has ended
        return None

    def _watch(self) -> None:
        """Look after operations that wait, and after those whose threads hang."""
        while not self._stopping.wait(_WAIT_SECONDS):
            try:
                for operation in self.waits.list_waiting():
                    if self._seams.index.operations.cancel_requested(operation.name):
                        self._cancel(operation)
                for operation in list(self._active.values()):
                    self._look_after(operation)
            except StatusError:
                pass  # the index is away: the next look tries again
            except Exception:
                logger.exception("an unexpected error while operations wait; they wait on")
            if self.waits.has_due():
                self.notify()

    def _look_after(self, operation: Operation) -> None:
        """A thread hangs in a system call where a disk or a bucket does not answer. Others go on in its stead, and a
        cancel ends the operation without it: whatever it does afterwards, the operation is its own no longer."""
        number, silence = operation.name.id, self.waits.silence(operation.name.id)
        if silence >= SILENT_SECONDS:
            self._work_beside(number)
        if silence < _HANG_SECONDS or number in self._cancelled:
            return
        if silence >= SILENT_SECONDS:
            cause = Wait.BUCKET if operation.method in _BUCKETS else Wait.DISK
            self.waits.note(number, cause, f"nothing has moved for {silence:.0f} s; a disk or a bucket does not answer")
        if self._seams.index.operations.cancel_requested(operation.name):
            with suppress(TakenOver):
                cancel(self._seams, operation, self.id)
                self.sweep()
            self._cancelled.add(number)
            self.waits.end(number)

    def _work_beside(self, number: int) -> None:
        """Let a thread work in the stead of the one that hangs in an operation."""
        with self._lock:
            if number in self._stuck or self._stopping.is_set():
                return
            self._stuck.add(number)
            beside = threading.Thread(target=self._work, name=f"runner-beside-{number}", daemon=True)
            self._threads = [thread for thread in self._threads if thread.ident is None or thread.is_alive()]
            self._threads.append(beside)
            beside.start()

    def _cancel(self, operation: Operation) -> None:
        if not self.waits.take(operation):
            return  # its next attempt has begun, and ends it
        try:
            cancel(self._seams, operation, self.id)
            self.sweep()
        except TakenOver:
            pass
        except Exception as error:
            self._wait(operation, error)
            return
        self.waits.end(operation.name.id)

    def _run(self, operation: Operation) -> None:
        number = operation.name.id
        self._active[number] = operation
        self.waits.beat(number)
        method = operation.method.value.rpartition(".")[2]
        logger.info(
            "operation %s: attempt %d begins; %s of %s", operation.name, operation.attempt, method, operation.subject
        )
        try:
            run_operation(self._seams, operation, self.id, self._stopping, self.totals, self.waits)
        except TakenOver as error:
            logger.warning("%s", error.message)
        except Exception as error:
            self._wait(operation, error)
            return
        finally:
            self.waits.stop(number)
            del self._active[number]
            self._cancelled.discard(number)
        self.waits.end(number)

    def _wait(self, operation: Operation, error: Exception) -> None:
        """Try again later; what is not expected is logged with its traceback."""
        if not isinstance(error, StatusError):
            logger.error("operation %s: attempt %d failed", operation.name, operation.attempt, exc_info=error)
            error = Internal("an internal error; the server's log has the details")
        seconds = self.waits.begin(operation, error, error.waits_for or Wait.INDEX)
        self._seams.members.tell()
        logger.warning(
            "operation %s: attempt %d interrupted, the next one is in %.0f s: %s",
            *(operation.name, operation.attempt, seconds, error.message),
        )
