"""Operations and their error logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from gantry.errors import Code, Status
from gantry.log_entries import LogEntry, LogFilter, LogPosition, Severity
from gantry.names import DatasetName, OperationName
from gantry.resources import Batch, Committed, Failure, Method, Operation


class OperationIndex(Protocol):
    """Operations. Every write of a runner is fenced: it takes effect only while the operation is that runner's own."""

    def create_operation(
        self,
        parent: DatasetName,
        version: str,
        method: Method,
        request: dict[str, Any],
        store: str = "",
        most: int = 0,
    ) -> Operation:
        """A new operation waiting for a runner. ``store`` is the full name of its DICOM store.

        Raises NotFound, and ResourceExhausted where ``most`` operations of the project are not done; 0 for no limit.
        """
        ...

    def claim_operation(self, runner: str) -> Operation | None:
        """Make the oldest operation that is neither done nor this runner's its own; None when there is none."""
        ...

    def release_operation(self, value: Operation, runner: str) -> None:
        """Give an operation back, to be claimed again."""
        ...

    def get_operation(self, name: OperationName) -> Operation:
        """With its first failures as samples. Raises NotFound."""
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

    def request_cancel(self, name: OperationName) -> int:
        """Cancel an operation: one that waits for a runner ends here, of another one the runner is asked to stop.

        Nothing changes where it is done. How many entries of its error log were written. Raises NotFound.
        """
        ...

    def cancel_requested(self, name: OperationName) -> bool:
        """Whether a cancel was asked for; False for an operation that is not there any more."""
        ...

    def commit_batch(self, value: Operation, runner: str, batch: Batch) -> Committed:
        """Rows, counters, log and checkpoint of one batch in one transaction.

        Raises AlreadyExists when an instance was stored by someone else meanwhile (nothing is written then),
        NotFound when the DICOM store is gone, TakenOver when the operation is another runner's or gone.
        """
        ...

    def finish_operation(
        self, value: Operation, runner: str, error: Status | None, entries: Sequence[Failure] = ()
    ) -> None:
        """Mark it done. ``entries`` go to the error log without being counted. Raises TakenOver.

        Without entries it ran to its end, so nothing is pending: what was counted and is not there any more is gone.
        """
        ...

    def list_progress(self, name: OperationName) -> list[tuple[datetime, int]]:
        """How many objects were done by when, in the order of time."""
        ...


class LogIndex(Protocol):
    """The error logs of operations. What a call looks at is bounded, whatever its filter."""

    def find_failures(
        self, wanted: LogFilter, limit: int, after: LogPosition | None = None, newest_first: bool = True
    ) -> tuple[list[tuple[Operation, LogEntry]], LogPosition | None]:
        """Up to ``limit`` entries that ``wanted`` holds for, after the position ``after``, with their operations.

        The second value is where to go on, None at the end. A call that meets many entries of others may give
        fewer than ``limit``, even none, and still tell where to go on.
        """
        ...

    def list_last_failures(self, name: OperationName, count: int) -> list[LogEntry]:
        """The last ``count`` entries of an operation's error log, in the order of commits."""
        ...

    def count_entries(self, name: OperationName) -> tuple[dict[tuple[Severity, Code], int], bool]:
        """How many entries of an operation's log there are by severity and code, the worst and most frequent first;
        False when not all were counted.

        Counting stops after the first hundred thousand.
        """
        ...

    def search_entries(
        self, name: OperationName, text: str = "", code: Code | None = None, limit: int = 100, after: int = 0
    ) -> tuple[list[LogEntry], int]:
        """Entries of an operation's log after number ``after``, of ``code``, with ``text`` in their object or message.

        The second value is where to go on, 0 at the end; a call looks at SCAN entries at most, so it may give none.
        """
        ...

    def list_failure_codes(self, name: OperationName) -> list[Code]:
        """The different codes of an operation's failures."""
        ...

    def get_first_failure(self, name: OperationName) -> Failure:
        """The first of the entries that are errors; there must be one."""
        ...

    def list_failures(self, name: OperationName, limit: int, after: int = 0) -> list[LogEntry]:
        """The error log in the order of commits, entries after number ``after``."""
        ...


class RetentionIndex(Protocol):
    """Operations that have been kept long enough."""

    def expire_operations(self, before: datetime, limit: int = 500) -> int:
        """Hide up to ``limit`` operations that ended before a time: nothing finds them any more. How many."""
        ...

    def purge_operation(self) -> bool:
        """Remove a hidden operation, or a part of its log, in one bounded transaction; False when there is none."""
        ...
