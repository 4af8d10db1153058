"""Operations and their error logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from gantry.counters import Queue
from gantry.errors import Code, Status
from gantry.log_entries import LogEntry, LogFilter, LogPosition, Severity
from gantry.names import DatasetName, OperationName
from gantry.reasons import Reason
from gantry.resources import Batch, Committed, Failure, Method, Operation


class OperationIndex(Protocol):
    """Operations. A runner's write takes effect only while the operation is claimed by that runner (fencing)."""

    def create_operation(
        self,
        parent: DatasetName,
        version: str,
        method: Method,
        request: dict[str, Any],
        store: str = "",
        most: int = 0,
    ) -> Operation:
        """A new operation that waits for a runner. ``store`` is the full name of its DICOM store.

        Raises NotFound, and ResourceExhausted where the project has ``most`` unfinished operations; 0 for no limit.
        """
        ...

    def claim_operation(self, runner: str) -> Operation | None:
        """Claim the oldest unfinished operation that this runner has not claimed, nor a server that is alive; None when
        there is none."""
        ...

    def read_queue(self, runner: str) -> Queue:
        """How many operations wait for a runner, as ``claim_operation`` of this one would find them."""
        ...

    def claim_again(self, value: Operation, runner: str) -> Operation | None:
        """Begin another attempt at an operation that this runner has claimed; None where it is its own no longer. It
        may be repeated after an error."""
        ...

    def get_operation(self, name: OperationName) -> Operation:
        """The operation with its first failures as samples. Raises NotFound."""
        ...

    def get_operations(self, parent: DatasetName, numbers: Sequence[int]) -> list[Operation]:
        """Like ``get_operation``, for the operations of a dataset with these numbers, newest first.

        Those that do not exist are missing.
        """
        ...

    def list_operations(
        self,
        parent: DatasetName,
        limit: int,
        before: int | None = None,
        done: bool | None = None,
        method: str | None = None,
    ) -> list[Operation]:
        """Newest first, those with an id below ``before``. Raises NotFound for the dataset."""
        ...

    def list_open(self, limit: int) -> list[Operation]:
        """Of all datasets, those that have not ended, the newest first."""
        ...

    def list_failed(self, since: datetime, limit: int) -> list[Operation]:
        """Of all datasets, those that ended with an error after ``since``, but for cancelled ones; the latest first."""
        ...

    def request_cancel(self, name: OperationName) -> int:
        """Cancel an operation: a waiting one ends in this call, a running one is marked so that its runner stops.

        Does nothing to a finished operation. Returns the number of log entries written. Raises NotFound.
        """
        ...

    def add_to_request(self, name: OperationName, facts: Mapping[str, str]) -> None:
        """Keep what later attempts must know with the request; what it says already stays. Does nothing to one that was
        deleted."""
        ...

    def cancel_requested(self, name: OperationName) -> bool:
        """Whether a cancel was requested; False for an operation that was deleted."""
        ...

    def commit_batch(self, value: Operation, runner: str, batch: Batch) -> Committed:
        """Rows, counters, log and checkpoint of one batch in one transaction. An instance with a value that the index
        cannot hold becomes a failure with DATA_LOSS.

        Raises AlreadyExists, and writes nothing, when an instance was stored by another call meanwhile; NotFound when
        the DICOM store was deleted; TakenOver when another runner has claimed the operation, or it was deleted.
        """
        ...

    def finish_operation(
        self,
        value: Operation,
        runner: str,
        error: Status | None,
        entries: Sequence[Failure] = (),
        list_garbage: Callable[[str], Sequence[str]] | None = None,
        warnings: Sequence[Failure] = (),
    ) -> None:
        """Mark an operation done. ``entries`` and ``warnings`` are written to its error log and not counted. Raises
        TakenOver.

        What ``list_garbage`` returns for the last committed prefix becomes garbage in the same transaction: before it
        another attempt may commit more, after it none can.

        Without entries it ran to completion: its count of pending objects becomes 0, even if objects disappeared.
        """
        ...

    def find_export(self, table: str) -> OperationName | None:
        """One that is not done, of this index, and writes to a table."""
        ...

    def list_progress(self, name: OperationName) -> list[tuple[datetime, int]]:
        """(time, objects done by then), in the order of time."""
        ...


class LogIndex(Protocol):
    """The error logs of operations. Each call reads a bounded number of entries, whatever its filter."""

    def find_failures(
        self, wanted: LogFilter, limit: int, after: LogPosition | None = None, newest_first: bool = True
    ) -> tuple[list[tuple[Operation, LogEntry]], LogPosition | None]:
        """Up to ``limit`` entries that match ``wanted``, after the position ``after``, with their operations.

        The second value is the position to continue after, None at the end. A call may return fewer than ``limit``
        entries, even none, before the end.
        """
        ...

    def list_last_failures(self, name: OperationName, count: int) -> list[LogEntry]:
        """The last ``count`` entries of an operation's error log, in the order of commits."""
        ...

    def count_entries(self, name: OperationName) -> tuple[dict[tuple[Severity, Reason], int], bool]:
        """(severity, reason) → count of an operation's log entries, the most severe and most frequent first; the second
        value is False when not all were counted.

        Counting stops after the first hundred thousand.
        """
        ...

    def search_entries(
        self, name: OperationName, text: str = "", reason: Reason | None = None, limit: int = 100, after: int = 0
    ) -> tuple[list[LogEntry], int]:
        """Entries of an operation's log after number ``after``, of ``reason``, with ``text`` in their object, their
        message, their reason or its title.

        The second value is the number to continue after, 0 at the end. A call reads SCAN entries at most, so it may
        return none before the end.
        """
        ...

    def list_failure_kinds(self, name: OperationName) -> set[tuple[Code, Reason]]:
        """The different codes and reasons of an operation's failures."""
        ...

    def list_failed_resources(self, name: OperationName, reason: Reason | None, after: str, limit: int) -> list[str]:
        """The different objects with an error, of ``reason`` if given, sorted by their bytes, behind ``after``."""
        ...

    def get_first_failure(self, name: OperationName) -> Failure:
        """The first entry that is an error; there must be one."""
        ...

    def list_failures(self, name: OperationName, limit: int, after: int = 0) -> list[LogEntry]:
        """Entries of the error log after number ``after``, in the order of commits."""
        ...


class RetentionIndex(Protocol):
    """Removal of operations that are older than the retention."""

    def follow_clock(self) -> datetime:
        """The present time, as far as it is sure: a clock that jumps ahead is followed slowly, and one that is set back
        at once. To be called again and again; what happens in between is not seen."""
        ...

    def expire_operations(self, before: datetime, limit: int = 500) -> int:
        """Hide up to ``limit`` operations that ended before a time. Returns their number."""
        ...

    def purge_operation(self) -> bool:
        """Remove a hidden operation, or a part of its log, in one bounded transaction; False when none is left."""
        ...
