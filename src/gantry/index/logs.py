"""The error logs of all operations in the order of time, and their end when they have been kept long enough."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    false,
    func,
    not_,
    or_,
    select,
    true,
    tuple_,
    update,
)

from gantry.errors import Code
from gantry.index.operations import Operations, _entries, _to_entry, _to_operation, _with_dataset
from gantry.index.tables import dataset, failure, operation, progress, selection
from gantry.names import OperationName
from gantry.resources import LogEntry, LogFilter, LogPosition, Operation, Severity

SCAN = 100_000  # entries looked at by one call at most
_COUNTED = 100_000  # entries of an operation that are grouped at most
_BATCH = 5000  # log entries removed by one transaction
_FORGOTTEN = 0  # number of the dataset that no operation can be found in
_POSITION = (failure.c.time, failure.c.operation_id, failure.c.seq)
_STORES = "/dicomStores/"
_FIELDS: dict[str, ColumnElement[Any]] = {
    "time": failure.c.time,
    "project": dataset.c.project,
    "location": dataset.c.location,
    "dataset": dataset.c.dataset,
    "store": func.substr(operation.c.store, func.instr(operation.c.store, _STORES) + len(_STORES)),
    "operation": failure.c.operation_id,
    "method": operation.c.method,
    "resource": failure.c.resource,
    "message": failure.c.message,
    "code": failure.c.code,
    "severity": failure.c.severity,
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    ":": lambda column, value: func.instr(func.lower(column), func.lower(str(value))) > 0,
}


class Logs(Operations):
    """Reading goes along an index on time; what a call looks at is bounded, whatever its filter."""

    def find_failures(
        self, wanted: LogFilter, limit: int, after: LogPosition | None = None, newest_first: bool = True
    ) -> tuple[list[tuple[Operation, LogEntry]], LogPosition | None]:
        """Up to ``limit`` entries that ``wanted`` holds for, after the position ``after``, with their operations.

        The second value is where to go on, None at the end. A call that meets many entries of others may give
        fewer than ``limit``, even none, and still tell where to go on.
        """
        place = tuple_(*_POSITION)
        window = _window(wanted)
        if after is not None:
            window.append(place < tuple_(*after) if newest_first else place > tuple_(*after))
        order = [column.desc() if newest_first else column.asc() for column in _POSITION]
        walk = select(*_POSITION).where(*window).order_by(*order)
        with self._read() as connection:
            edge = connection.execute(walk.offset(SCAN - 1).limit(1)).one_or_none()
            if edge is not None:
                window.append(place >= tuple_(*edge) if newest_first else place <= tuple_(*edge))
            query = _with_operation().where(*window, _condition(wanted)).order_by(*order)
            rows = connection.execute(query.limit(limit + 1)).all()
            known = _operations(connection, {row.operation_id for row in rows})
        found = [(known[row.operation_id], _to_entry(row)) for row in rows[:limit] if row.operation_id in known]
        if len(rows) > limit:
            last = rows[limit - 1]
            return found, LogPosition(last.time, last.operation_id, last.seq)
        return found, None if edge is None else LogPosition(*edge)

    def last_failures(self, name: OperationName, count: int) -> list[LogEntry]:
        """The last ``count`` entries of an operation's error log, in the order of commits."""
        with self._read() as connection:
            last = connection.execute(select(func.max(failure.c.seq)).where(failure.c.operation_id == name.id)).scalar()
            return _entries(connection, name.id, count, max(0, (last or 0) - count))

    def count_entries(self, name: OperationName) -> tuple[dict[tuple[Severity, Code], int], bool]:
        """How many entries of an operation's log there are by severity and code, the worst and most frequent first;
        False when not all were counted.

        Counting stops after the first hundred thousand.
        """
        kinds = select(failure.c.severity, failure.c.code).where(failure.c.operation_id == name.id)
        first = kinds.order_by(failure.c.seq).limit(_COUNTED).subquery()
        severity, code, number = first.c.severity, first.c.code, func.count()
        grouped = select(severity, code, number).group_by(severity, code)
        with self._read() as connection:
            rows = connection.execute(grouped.order_by(severity.desc(), number.desc(), code))
            counts = {(Severity(row[0]), Code(row[1])): row[2] for row in rows}
        return counts, sum(counts.values()) < _COUNTED

    def search_entries(
        self, name: OperationName, text: str = "", code: Code | None = None, limit: int = 100, after: int = 0
    ) -> tuple[list[LogEntry], int]:
        """Entries of an operation's log after number ``after``, of ``code``, with ``text`` in their object or message.

        The second value is where to go on, 0 at the end; a call looks at SCAN entries at most, so it may give none.
        """
        mine = failure.c.operation_id == name.id, failure.c.seq > after
        edge = select(failure.c.seq).where(*mine).order_by(failure.c.seq).offset(SCAN - 1).limit(1)
        wanted = [] if code is None else [failure.c.code == int(code)]
        if text:
            wanted.append(or_(*(_COMPARE[":"](_FIELDS[field], text) for field in ("resource", "message"))))
        with self._read() as connection:
            last = connection.execute(edge).scalar()
            within = () if last is None else (failure.c.seq <= last,)
            query = select(failure).where(*mine, *within, *wanted).order_by(failure.c.seq).limit(limit + 1)
            found = [_to_entry(row) for row in connection.execute(query)]
        if len(found) > limit:
            return found[:limit], found[limit - 1].seq
        return found, last or 0

    def expire_operations(self, before: datetime, limit: int = 500) -> int:
        """Hide up to ``limit`` operations that ended before a time: nothing finds them any more. How many."""
        micros = round(before.timestamp() * 1_000_000)
        expired = operation.c.end_time < micros, operation.c.dataset_id != _FORGOTTEN
        with self._read() as connection:
            ids = connection.execute(select(operation.c.id).where(*expired).limit(limit)).scalars().all()
        if ids:
            with self._write() as connection:
                connection.execute(update(operation).where(operation.c.id.in_(ids)).values(dataset_id=_FORGOTTEN))
        return len(ids)

    def purge_operation(self) -> bool:
        """Remove a hidden operation, or a part of its log, in one bounded transaction; False when there is none."""
        hidden = select(operation.c.id).where(operation.c.dataset_id == _FORGOTTEN).limit(1)
        with self._read() as connection:
            found = connection.execute(hidden).scalar()
        if found is None:
            return False
        with self._write() as connection:
            for table in (failure, selection, progress):
                victims = select(*table.primary_key).where(table.c.operation_id == found).limit(_BATCH)
                if connection.execute(delete(table).where(tuple_(*table.primary_key).in_(victims))).rowcount:
                    return True
            connection.execute(delete(operation).where(operation.c.id == found))
        return True


def _with_operation() -> Select[Any]:
    # The sums keep SQLite from starting at the datasets or operations, which would mean sorting all that they logged.
    query = select(failure).join(operation, operation.c.id == failure.c.operation_id + 0)
    return query.join(dataset, dataset.c.id == operation.c.dataset_id + 0)


def _window(wanted: LogFilter) -> list[ColumnElement[bool]]:
    """The bounds on time that hold for the whole filter: where a walk along the index begins and ends."""
    if wanted.operator == "all":
        return [bound for part in wanted.parts for bound in _window(part)]
    return [_condition(wanted)] if wanted.field == "time" else []


def _condition(wanted: LogFilter) -> ColumnElement[bool]:
    parts = [_condition(part) for part in wanted.parts]
    if wanted.operator == "all":
        return and_(true(), *parts)
    if wanted.operator == "any":
        return or_(false(), *parts)
    if wanted.operator == "not":
        return not_(parts[0])
    condition: ColumnElement[bool] = _COMPARE[wanted.operator](_FIELDS[wanted.field], wanted.value)
    return condition


def _operations(connection: Connection, ids: set[int]) -> dict[int, Operation]:
    rows = connection.execute(_with_dataset().where(operation.c.id.in_(ids)))
    return {row.id: _to_operation(row) for row in rows}
