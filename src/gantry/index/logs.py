"""The error logs of all operations in the order of time, and their end when they have been kept long enough."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    false,
    func,
    not_,
    or_,
    select,
    true,
    tuple_,
)

from gantry.errors import Code
from gantry.index.database import Part
from gantry.index.dialect import contains, position, without_index
from gantry.index.log_rows import select_entries, select_errors, to_log_entry
from gantry.index.operation_rows import select_operations, to_operation
from gantry.index.tables import dataset, failure, operation
from gantry.languages import _
from gantry.log_entries import LogEntry, LogFilter, LogPosition, Severity
from gantry.names import OperationName
from gantry.reasons import ABOUT, Reason, find_reason
from gantry.resources import Failure, Operation

SCAN = 100_000  # entries looked at by one call at most
_COUNTED = 100_000  # entries of an operation that are grouped at most
_POSITION = (failure.c.time, failure.c.operation_id, failure.c.seq)
_STORES = "/dicomStores/"
_FIELDS: dict[str, ColumnElement[Any]] = {
    "time": failure.c.time,
    "project": dataset.c.project,
    "location": dataset.c.location,
    "dataset": dataset.c.dataset,
    "store": func.substr(operation.c.store, position(operation.c.store, _STORES) + len(_STORES)),
    "operation": failure.c.operation_id,
    "method": operation.c.method,
    "resource": failure.c.resource,
    "message": failure.c.message,
    "code": failure.c.code,
    "reason": failure.c.reason,
    "severity": failure.c.severity,
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    ":": lambda column, value: contains(column, str(value)),
}


_TEXTS = ("resource", "message", "reason")


def _has_reason(reason: Reason) -> ColumnElement[bool]:
    """Entries of versions before schema 0022 have a code alone."""
    found = failure.c.reason == reason.value
    if reason.value in Code.__members__:
        found = or_(found, and_(failure.c.reason == "", failure.c.code == int(Code[reason.value])))
    return found


def _has_title(text: str) -> ColumnElement[bool]:
    """Whether the text is in the name that people read, in the language of this call or in English."""
    found = [
        reason
        for reason, about in ABOUT.items()
        if any(text.lower() in title.lower() for title in (about.title, _(about.title)))
    ]
    return or_(false(), *map(_has_reason, found))


class Logs(Part):
    """Promises: ``index_protocols.LogIndex``."""

    def find_failures(
        self, wanted: LogFilter, limit: int, after: LogPosition | None = None, newest_first: bool = True
    ) -> tuple[list[tuple[Operation, LogEntry]], LogPosition | None]:
        place = tuple_(*_POSITION)
        window = _window(wanted)
        if after is not None:
            window.append(place < tuple_(*after) if newest_first else place > tuple_(*after))
        order = [column.desc() if newest_first else column.asc() for column in _POSITION]
        walk = select(*_POSITION).where(*window).order_by(*order)
        with self.database.read() as connection:
            edge = connection.execute(walk.offset(SCAN - 1).limit(1)).one_or_none()
            if edge is not None:
                window.append(place >= tuple_(*edge) if newest_first else place <= tuple_(*edge))
            query = _with_operation().where(*window, _condition(wanted)).order_by(*order)
            rows = connection.execute(query.limit(limit + 1)).all()
            known = _operations(connection, {row.operation_id for row in rows})
        found = [(known[row.operation_id], to_log_entry(row)) for row in rows[:limit] if row.operation_id in known]
        if len(rows) > limit:
            last = rows[limit - 1]
            return found, LogPosition(last.time, last.operation_id, last.seq)
        return found, None if edge is None else LogPosition(*edge)

    def list_last_failures(self, name: OperationName, count: int) -> list[LogEntry]:
        with self.database.read() as connection:
            last = connection.execute(select(func.max(failure.c.seq)).where(failure.c.operation_id == name.id)).scalar()
            return select_entries(connection, name.id, count, max(0, (last or 0) - count))

    def count_entries(self, name: OperationName) -> tuple[dict[tuple[Severity, Reason], int], bool]:
        kinds = select(failure.c.severity, failure.c.code, failure.c.reason).where(failure.c.operation_id == name.id)
        first = kinds.order_by(failure.c.seq).limit(_COUNTED).subquery()
        number = func.count()
        grouped = select(*first.c, number).group_by(*first.c)
        counts: Counter[tuple[Severity, Reason]] = Counter()
        with self.database.read() as connection:
            for row in connection.execute(grouped.order_by(first.c.severity.desc(), number.desc(), first.c.reason)):
                counts[Severity(row[0]), find_reason(row[2], Code(row[1]).name)] += row[3]
        return dict(counts), sum(counts.values()) < _COUNTED

    def search_entries(
        self, name: OperationName, text: str = "", reason: Reason | None = None, limit: int = 100, after: int = 0
    ) -> tuple[list[LogEntry], int]:
        mine = failure.c.operation_id == name.id, failure.c.seq > after
        edge = select(failure.c.seq).where(*mine).order_by(failure.c.seq).offset(SCAN - 1).limit(1)
        wanted = [] if reason is None else [_has_reason(reason)]
        if text:
            wanted.append(or_(_has_title(text), *(_COMPARE[":"](_FIELDS[field], text) for field in _TEXTS)))
        with self.database.read() as connection:
            last = connection.execute(edge).scalar()
            within = () if last is None else (failure.c.seq <= last,)
            query = select(failure).where(*mine, *within, *wanted).order_by(failure.c.seq).limit(limit + 1)
            found = [to_log_entry(row) for row in connection.execute(query)]
        if len(found) > limit:
            return found[:limit], found[limit - 1].seq
        return found, last or 0

    def list_failure_kinds(self, name: OperationName) -> set[tuple[Code, Reason]]:
        errors = failure.c.operation_id == name.id, failure.c.severity == Severity.ERROR
        query = select(failure.c.code, failure.c.reason).where(*errors).distinct()
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        return {(Code(row.code), find_reason(row.reason, Code(row.code).name)) for row in rows}

    def list_failed_resources(self, name: OperationName, reason: Reason | None, after: str, limit: int) -> list[str]:
        wanted = [failure.c.operation_id == name.id, failure.c.severity == Severity.ERROR, failure.c.resource > after]
        wanted += [] if reason is None else [_has_reason(reason)]
        query = select(failure.c.resource).where(*wanted).distinct().order_by(failure.c.resource).limit(limit)
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def get_first_failure(self, name: OperationName) -> Failure:
        with self.database.read() as connection:
            return select_errors(connection, [name.id], 1)[name.id][0]

    def list_failures(self, name: OperationName, limit: int, after: int = 0) -> list[LogEntry]:
        with self.database.read() as connection:
            return select_entries(connection, name.id, limit, after)


def _with_operation() -> Select[Any]:
    # This keeps SQLite from starting at the datasets or operations, which would mean sorting all that they logged.
    query = select(failure).join(operation, operation.c.id == without_index(failure.c.operation_id))
    return query.join(dataset, dataset.c.id == without_index(operation.c.dataset_id))


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
    rows = connection.execute(select_operations().where(operation.c.id.in_(ids)))
    return {row.id: to_operation(row) for row in rows}
