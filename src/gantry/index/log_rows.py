"""Rows of error logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from gantry.errors import Code, Status
from gantry.index.clock import from_micros
from gantry.index.tables import failure
from gantry.resources import Failure, LogEntry, Severity


def select_errors(connection: Connection, operation_id: int, limit: int) -> tuple[Failure, ...]:
    errors = failure.c.operation_id == operation_id, failure.c.severity == Severity.ERROR
    found = connection.execute(select(failure).where(*errors).order_by(failure.c.seq).limit(limit))
    return tuple(to_log_entry(row).failure for row in found)


def select_entries(connection: Connection, operation_id: int, limit: int, after: int) -> list[LogEntry]:
    query = select(failure).where(failure.c.operation_id == operation_id, failure.c.seq > after)
    return [to_log_entry(row) for row in connection.execute(query.order_by(failure.c.seq).limit(limit))]


def to_log_entry(row: Row[Any]) -> LogEntry:
    failed = Failure(row.resource, Status(Code(row.code), row.message))
    return LogEntry(row.seq, from_micros(row.time), failed, Severity(row.severity))


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
        }
        for number, entry in enumerate(failures, 1)
    ]
    connection.execute(insert(failure), rows)
