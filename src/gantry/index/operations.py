"""Operations, their counters and their error logs."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from gantry.errors import Aborted, AlreadyExists, Code, NotFound, ResourceExhausted, Status
from gantry.index.changes import apply_changes
from gantry.index.filling import add_instances
from gantry.index.filter_paths import add_selection
from gantry.index.replacement import replace_instances
from gantry.index.resources import Resources, _dataset_row
from gantry.index.tables import dataset, dicom_store, failure, garbage, operation, progress, selection
from gantry.names import DatasetName, OperationName, parse_dicom_store_name
from gantry.resources import (
    CANCELLED,
    Batch,
    Committed,
    Dataset,
    Failure,
    LogEntry,
    Method,
    Operation,
    ProgressCounter,
    Severity,
)

MAX_SAMPLES = 10

_POINT = 1_000_000  # microseconds between two points of progress at least


class Operations(Resources):
    """Every write of a runner is fenced: it takes effect only while the operation is that runner's own."""

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
        store_id = self.get_dicom_store(parse_dicom_store_name(store)).id if store else 0
        with self._write() as connection:
            if most and _open_operations(connection, parent.project) >= most:
                raise ResourceExhausted(
                    f"project {parent.project} has {most} operations that are not done yet; "
                    "wait for some of them to end, or cancel some"
                )
            row = {
                "id": _new_id(),
                "dataset_id": _dataset_row(connection, parent).id,
                "store": store,
                "store_id": store_id,
                "version": version,
                "method": method.value,
                "request": json.dumps(request),
                "checkpoint": b"",
                "create_time": _now(),
            }
            connection.execute(insert(operation), row)
        return self.get_operation(OperationName(parent, row["id"]))

    def create_dataset(self, value: Dataset, version: str) -> Operation:
        """A dataset and the operation that made it, done already. Raises AlreadyExists."""
        row = {
            "project": value.name.project,
            "location": value.name.location,
            "dataset": value.name.dataset,
            "time_zone": value.time_zone,
            "kms_key_name": value.kms_key_name,
        }
        with self._write() as connection:
            try:
                connection.execute(insert(dataset), row)
            except IntegrityError:
                raise AlreadyExists(f"dataset {value.name} already exists") from None
            dataset_id = _dataset_row(connection, value.name).id
            number = _insert_done(connection, dataset_id=dataset_id, version=version, method=Method.CREATE_DATASET)
        return self.get_operation(OperationName(value.name, number))

    def claim_operation(self, runner: str) -> Operation | None:
        """Make the oldest operation that is neither done nor this runner's its own; None when there is none."""
        query = select(operation.c.id).where(operation.c.end_time.is_(None), operation.c.runner != runner)
        with self._write() as connection:
            found = connection.execute(query.order_by(operation.c.id).limit(1)).scalar()
            if found is None:
                return None
            connection.execute(
                update(operation).where(operation.c.id == found).values(runner=runner, attempt=operation.c.attempt + 1)
            )
            row = connection.execute(_with_dataset().where(operation.c.id == found)).one()
            return _to_operation(row)

    def release_operation(self, value: Operation, runner: str) -> None:
        """Give an operation back, to be claimed again."""
        with self._write() as connection:
            mine = operation.c.id == value.name.id, operation.c.runner == runner
            connection.execute(update(operation).where(*mine).values(runner=""))

    def get_operation(self, name: OperationName) -> Operation:
        """With its first failures as samples. Raises NotFound."""
        with self._read() as connection:
            row = connection.execute(
                _with_dataset().where(operation.c.id == name.id, *_in_dataset(name.dataset))
            ).one_or_none()
            if row is None:
                raise NotFound(f"operation {name} does not exist")
            return _to_operation(row, _samples(connection, row))

    def list_operations(
        self,
        parent: DatasetName,
        limit: int,
        before: int | None = None,
        done: bool | None = None,
        method: str | None = None,
    ) -> list[Operation]:
        """Newest first, those with an id below ``before``. Raises NotFound for the dataset."""
        with self._read() as connection:
            query = _with_dataset().where(operation.c.dataset_id == _dataset_row(connection, parent).id)
            if before is not None:
                query = query.where(operation.c.id < before)
            if done is not None:
                query = query.where(operation.c.end_time.is_not(None) if done else operation.c.end_time.is_(None))
            if method is not None:
                query = query.where(operation.c.method == method)
            rows = connection.execute(query.order_by(operation.c.id.desc()).limit(limit)).all()
            return [_to_operation(row, _samples(connection, row)) for row in rows]

    def request_cancel(self, name: OperationName) -> int:
        """Cancel an operation: one that waits for a runner ends here, of another one the runner is asked to stop.

        Nothing changes where it is done. How many entries of its error log were written. Raises NotFound.
        """
        with self._write() as connection:
            row = connection.execute(
                _with_dataset().where(operation.c.id == name.id, *_in_dataset(name.dataset))
            ).one_or_none()
            if row is None:
                raise NotFound(f"operation {name} does not exist")
            if row.end_time is not None:
                return 0
            connection.execute(update(operation).where(operation.c.id == row.id).values(cancel_requested=True))
            if row.runner:
                return 0
            _finish(connection, row, CANCELLED, (Failure(_to_operation(row).subject, CANCELLED),))
            return 1

    def cancel_requested(self, name: OperationName) -> bool:
        """Whether a cancel was asked for; False for an operation that is not there any more."""
        with self._read() as connection:
            return bool(connection.execute(select(operation.c.cancel_requested).filter_by(id=name.id)).scalar())

    def commit_batch(self, value: Operation, runner: str, batch: Batch) -> Committed:
        """Rows, counters, log and checkpoint of one batch in one transaction.

        Raises AlreadyExists when an instance was stored by someone else meanwhile (nothing is written then),
        NotFound when the DICOM store is gone, Aborted when the operation is another runner's or gone.
        """
        with self._write() as connection:
            row = self._own(connection, value, runner)
            if batch.instances:
                add_instances(connection, value.store_id, batch.instances, _now())
            lost = apply_changes(connection, value.store_id, batch.changes, _now()) if batch.changes else ()
            if batch.replacements:
                lost += replace_instances(connection, batch.replacements, _now())
            if batch.garbage:
                connection.execute(
                    upsert(garbage).on_conflict_do_nothing(), [{"blob_key": key} for key in batch.garbage]
                )
            warnings = add_selection(connection, row.id, value.store_id, batch.selection) if batch.selection else ()
            _log(connection, row, batch.failures + lost)
            _log(connection, row, warnings, Severity.WARNING)
            connection.execute(
                update(operation)
                .where(operation.c.id == value.name.id)
                .values(
                    success=operation.c.success + batch.succeeded - len(lost),
                    failure=operation.c.failure + len(batch.failures) + len(lost),
                    listed=max(row.listed, batch.listed),
                    checkpoint=os.fsencode(batch.checkpoint) or row.checkpoint,
                    blob_prefix=batch.blob_prefix or row.blob_prefix,
                )
            )
            _note_progress(connection, row, row.success + row.failure + batch.succeeded + len(batch.failures))
            logged = len(batch.failures) + len(lost) + len(warnings)
            return Committed(row.cancel_requested, len(lost), logged)

    def finish_operation(
        self, value: Operation, runner: str, error: Status | None, entries: Sequence[Failure] = ()
    ) -> None:
        """Mark it done. ``entries`` go to the error log without being counted. Raises Aborted.

        Without entries it ran to its end, so nothing is pending: what was counted and is not there any more is gone.
        """
        with self._write() as connection:
            row = self._own(connection, value, runner, needs_store=False)
            _finish(connection, row, error, entries)

    def progress(self, name: OperationName) -> list[tuple[datetime, int]]:
        """How many objects were done by when, in the order of time."""
        query = select(progress.c.time, progress.c.done).where(progress.c.operation_id == name.id)
        with self._read() as connection:
            rows = connection.execute(query.order_by(progress.c.time))
            return [(from_micros(row.time), row.done) for row in rows]

    def failure_codes(self, name: OperationName) -> list[Code]:
        """The different codes of an operation's failures."""
        errors = failure.c.operation_id == name.id, failure.c.severity == Severity.ERROR
        query = select(failure.c.code).where(*errors).distinct()
        with self._read() as connection:
            return [Code(code) for code in connection.execute(query).scalars()]

    def first_failure(self, name: OperationName) -> Failure:
        """The first of the entries that are errors; there must be one."""
        with self._read() as connection:
            return _errors(connection, name.id, 1)[0]

    def list_failures(self, name: OperationName, limit: int, after: int = 0) -> list[LogEntry]:
        """The error log in the order of commits, entries after number ``after``."""
        with self._read() as connection:
            return _entries(connection, name.id, limit, after)

    def _own(self, connection: Connection, value: Operation, runner: str, needs_store: bool = True) -> Row[Any]:
        row = connection.execute(
            select(operation).where(
                operation.c.id == value.name.id, operation.c.runner == runner, operation.c.end_time.is_(None)
            )
        ).one_or_none()
        if row is None:
            raise Aborted(f"operation {value.name} is not this runner's any more")
        if needs_store and value.store_id:
            alive = select(dicom_store.c.id).where(dicom_store.c.id == value.store_id, dicom_store.c.deleted.is_(False))
            if connection.execute(alive).one_or_none() is None:
                raise NotFound(f"DICOM store {value.store} was deleted while the operation ran")
        return row


def _finish(connection: Connection, row: Row[Any], error: Status | None, entries: Sequence[Failure]) -> None:
    _log(connection, row, entries)
    connection.execute(delete(selection).where(selection.c.operation_id == row.id))
    connection.execute(
        update(operation)
        .where(operation.c.id == row.id)
        .values(
            end_time=max(_now(), row.create_time),
            listed=row.listed if entries else row.success + row.failure,
            error_code=None if error is None else int(error.code),
            error_message=None if error is None else error.message,
        )
    )


def _open_operations(connection: Connection, project: str) -> int:
    query = select(func.count()).select_from(operation).join(dataset, dataset.c.id == operation.c.dataset_id)
    query = query.where(operation.c.end_time.is_(None), dataset.c.project == project)
    return int(connection.execute(query).scalar_one())


def _with_dataset() -> Select[Any]:
    names = (dataset.c.project, dataset.c.location, dataset.c.dataset)
    return select(operation, *names).join(dataset, dataset.c.id == operation.c.dataset_id)


def _in_dataset(name: DatasetName) -> tuple[Any, ...]:
    return dataset.c.project == name.project, dataset.c.location == name.location, dataset.c.dataset == name.dataset


def _to_operation(row: Row[Any], samples: tuple[Failure, ...] = ()) -> Operation:
    return Operation(
        name=OperationName(DatasetName(row.project, row.location, row.dataset), row.id),
        version=row.version,
        method=Method(row.method),
        create_time=from_micros(row.create_time),
        request=json.loads(row.request),
        store=parse_dicom_store_name(row.store) if row.store else None,
        store_id=row.store_id,
        end_time=None if row.end_time is None else from_micros(row.end_time),
        counter=ProgressCounter(row.listed, row.success, row.failure),
        checkpoint=os.fsdecode(row.checkpoint or b""),
        blob_prefix=row.blob_prefix,
        attempt=row.attempt,
        cancel_requested=row.cancel_requested,
        error=None if row.error_code is None else Status(Code(row.error_code), row.error_message),
        samples=samples,
    )


def _samples(connection: Connection, row: Row[Any]) -> tuple[Failure, ...]:
    if row.error_code is None:
        return ()
    return _errors(connection, row.id, MAX_SAMPLES)


def _errors(connection: Connection, operation_id: int, limit: int) -> tuple[Failure, ...]:
    errors = failure.c.operation_id == operation_id, failure.c.severity == Severity.ERROR
    found = connection.execute(select(failure).where(*errors).order_by(failure.c.seq).limit(limit))
    return tuple(_to_entry(row).failure for row in found)


def _note_progress(connection: Connection, row: Row[Any], done: int) -> None:
    """A point now and then: their number grows with the logarithm of the time."""
    now = _now()
    query = select(func.max(progress.c.time)).where(progress.c.operation_id == row.id)
    last = connection.execute(query).scalar() or 0
    if now - last >= max(_POINT, (now - row.create_time) // 200):
        connection.execute(insert(progress), {"operation_id": row.id, "time": now, "done": done})


def _entries(connection: Connection, operation_id: int, limit: int, after: int) -> list[LogEntry]:
    query = select(failure).where(failure.c.operation_id == operation_id, failure.c.seq > after)
    return [_to_entry(row) for row in connection.execute(query.order_by(failure.c.seq).limit(limit))]


def _to_entry(row: Row[Any]) -> LogEntry:
    failed = Failure(row.resource, Status(Code(row.code), row.message))
    return LogEntry(row.seq, from_micros(row.time), failed, Severity(row.severity))


def _log(
    connection: Connection, row: Row[Any], failures: Sequence[Failure], severity: Severity = Severity.ERROR
) -> None:
    if not failures:
        return
    last = connection.execute(
        select(func.coalesce(func.max(failure.c.seq), 0)).where(failure.c.operation_id == row.id)
    ).scalar_one()
    now = _now()
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


def _insert_done(
    connection: Connection, *, method: Method, request: dict[str, Any] | None = None, **columns: Any
) -> int:
    """An operation that was over when it was created; its number."""
    now = _now()
    row = {"id": _new_id(), "method": method.value, "request": json.dumps(request or {}), "checkpoint": b""}
    connection.execute(insert(operation), row | columns | {"create_time": now, "end_time": now})
    return int(row["id"])


def from_micros(value: int) -> datetime:
    return datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)


def _now() -> int:
    return time.time_ns() // 1000


def _new_id() -> int:
    """Nineteen digits that sort by creation: milliseconds, then chance."""
    return (time.time_ns() // 1_000_000 << 20) | random.SystemRandom().getrandbits(20)
