"""Rows of error logs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from gantry.errors import Code, Status
from gantry.index.clock import from_micros
from gantry.index.tables import failure, operation
from gantry.log_entries import LogEntry, Severity
from gantry.reasons import find_reason
from gantry.resources import Failure

_LAST = 1 << 62  # behind every entry


def select_errors(connection: Connection, operations: Collection[int], limit: int) -> dict[int, tuple[Failure, ...]]:
    """The first errors of each operation, by its number, in one query; nothing for those that have none."""
    if not operations:
        return {}
    other = failure.alias()
    mine = other.c.operation_id == operation.c.id, other.c.severity == Severity.ERROR
    last = select(other.c.seq).where(*mine).order_by(other.c.seq).limit(1).offset(limit - 1).scalar_subquery()
    # From each operation to its first entries: SQLite reads the log up to the last of them, not all of it.
    query = select(failure).join_from(operation, failure, failure.c.operation_id == operation.c.id)
    query = query.where(operation.c.id.in_(operations), failure.c.severity == Severity.ERROR)
    query = query.where(failure.c.seq <= func.coalesce(last, _LAST))
    errors: dict[int, list[LogEntry]] = {}
    for row in connection.execute(query):
        errors.setdefault(row.operation_id, []).append(to_log_entry(row))
    by_seq = attrgetter("seq")
    return {number: tuple(entry.failure for entry in sorted(found, key=by_seq)) for number, found in errors.items()}


def select_entries(connection: Connection, operation_id: int, limit: int, after: int) -> list[LogEntry]:
    query = select(failure).where(failure.c.operation_id == operation_id, failure.c.seq > after)
    return [to_log_entry(row) for row in connection.execute(query.order_by(failure.c.seq).limit(limit))]


def to_log_entry(row: Row[Any]) -> LogEntry:
    failed = Failure(row.resource, make_status(row.code, row.message, row.reason))
    return LogEntry(row.seq, from_micros(row.time), failed, Severity(row.severity))


def make_status(code: int, message: str, reason: str) -> Status:
    """As it was written; ``reason`` is empty in rows of versions before schema 0022."""
    known = find_reason(reason, Code(code).name)
    return Status(Code(code), message, kind=None if known.value == Code(code).name else known)


def insert_entries(
    connection: Connection, row: Row[Any], now: int, failures: Sequence[Failure], severity: Severity = Severity.ERROR
) -> None:
    if not failures:
        return
    last = connection.execute(
        select(func.coalesce(func.max(failure.c.seq), 0)).where(failure.c.operation_id == row.id)
    ).scalar_one()
    rows = [
        {
            "operation_id": row.id,
            "seq": last + number,
            "time": now,
            "resource": entry.resource,
            "code": int(entry.status.code),
            "message": entry.status.message,
            "severity": int(severity),
            "reason": entry.status.reason.value,
        }
        for number, entry in enumerate(failures, 1)
    ]
    connection.execute(insert(failure), rows)
