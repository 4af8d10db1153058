"""Operations, and how they go from state to state.

=========  =====================================================================================================
state      the row
=========  =====================================================================================================
waiting    ``end_time`` is NULL, ``runner`` is ""
running    ``end_time`` is NULL, ``runner`` names the runner that has claimed it
stopping   running, and ``cancel_requested``: its runner ends it after the present batch
done       ``end_time`` is set; ``error_code`` says whether it failed (CANCELLED: it was cancelled)
hidden     done, and ``dataset_id`` is that of no dataset: nothing finds it, and it is removed in pieces
=========  =====================================================================================================

=================  ======================================  ===================================================
call               from → to                               else
=================  ======================================  ===================================================
create_operation   — → waiting                             NotFound, ResourceExhausted: no row
claim_operation    waiting, or running of a runner that    None: nothing changes; one's own is not claimed again
                   is gone → running, one ``attempt`` more
commit_batch       running → running                       TakenOver, unless it is this runner's own
request_cancel     waiting → done, running → stopping      NotFound; done: nothing changes
claim_again        running → running, one ``attempt`` more  None: it is not this runner's own any more
finish_operation   running → done                          TakenOver, unless it is this runner's own
expire_operations  done → hidden                           those that are not done stay
delete_dataset     any → hidden                            whoever runs it meets TakenOver
purge_operation    hidden → —                              False: none is hidden
=================  ======================================  ===================================================

A dataset's creation and the deletion of a study or series are done when they are created. A process that ends leaves
its operations running; the next one has another name, and claims them. Where several servers share the index, those
that are alive have a row (``index.servers``), and nobody claims what is theirs.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from gantry.counters import Queue
from gantry.errors import Code, DataLoss, NotFound, ResourceExhausted, Status, TakenOver
from gantry.events import Action, action_of
from gantry.index.change_packs import Cause
from gantry.index.changes import apply_changes
from gantry.index.clock import from_micros, to_micros
from gantry.index.counting import discard_blobs, seal_segments
from gantry.index.database import Database, Part, with_reserve
from gantry.index.dialect import contains
from gantry.index.filling import add_instances
from gantry.index.filter_paths import add_selection
from gantry.index.log_rows import insert_entries
from gantry.index.operation_rows import (
    count_open_operations,
    get_operation,
    get_operations,
    is_in_dataset,
    latest,
    make_id,
    note_progress,
    select_operations,
    to_operation,
    to_operations,
    to_sound_operation,
)
from gantry.index.refusals import OutcomeUnknown
from gantry.index.repeating import repeated
from gantry.index.replacement import replace_instances
from gantry.index.resource_rows import get_dataset_row, get_store_row
from gantry.index.sound_rows import write_sound
from gantry.index.statements import Statement, fetch_each
from gantry.index.tables import dicom_store, operation, progress, selection, server
from gantry.log_entries import Severity
from gantry.names import DatasetName, OperationName, parse_dicom_store_name
from gantry.resources import CANCELLED, Batch, Committed, Failure, Instance, Method, Operation, Replacement


class Operations(Part):
    """Promises: ``index_protocols.OperationIndex``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._doubtful = set[int]()  # claimed, perhaps, and nobody runs them
        self._claiming = threading.Lock()  # for both: what one thread has claimed is no other's doubt

    @repeated
    def create_operation(
        self,
        parent: DatasetName,
        version: str,
        method: Method,
        request: dict[str, Any],
        store: str = "",
        most: int = 0,
    ) -> Operation:
        with self.database.write() as connection:
            now = self.database.now()
            store_id = get_store_row(connection, parse_dicom_store_name(store)).id if store else 0
            if most and count_open_operations(connection, parent.project) >= most:
                raise ResourceExhausted(
                    f"project {parent.project} has {most} operations that are not done yet; "
                    "wait for some of them to end, or cancel some"
                )
            row = {
                "id": make_id(connection, now),
                "dataset_id": get_dataset_row(connection, parent).id,
                "store": store,
                "store_id": store_id,
                "version": version,
                "method": method.value,
                "request": json.dumps(request),
                "checkpoint": b"",
                "create_time": now,
            }
            connection.execute(insert(operation), row)
            return get_operation(connection, OperationName(parent, row["id"]))

    @repeated
    def claim_operation(self, runner: str) -> Operation | None:
        query = select(operation.c.id).where(operation.c.end_time.is_(None), _is_left(runner))
        query = query.order_by(operation.c.id).limit(1)
        while True:
            if not self._doubtful:
                with self.database.read() as connection:  # a runner without work writes nothing
                    if connection.execute(query).scalar() is None:
                        return None
            with self._claiming:
                number, claimed = self._claim_doubtful(runner) if self._doubtful else self._claim_left(query, runner)
            if claimed is not None or number is None:  # others are at work on what is left
                return claimed

    def _claim_left(self, query: Select[Any], runner: str) -> tuple[int | None, Operation | None]:
        """One that has no runner. Where nobody knows whether its claim was written it would be this runner's for ever,
        and nobody would run it: so it is remembered."""
        number: int | None = None
        try:
            with self.database.write() as connection:
                number = connection.execute(query.with_for_update(skip_locked=True)).scalar()
                claimed = None if number is None else self._claim(connection, number, runner)
        except OutcomeUnknown:
            self._doubtful |= set() if number is None else {number}
            raise
        return number, claimed

    def _claim_doubtful(self, runner: str) -> tuple[int, Operation | None]:
        """One that may be this runner's already."""
        number = next(iter(self._doubtful))
        with self.database.write() as connection:
            row = _OWN.execute(connection, number, runner).one_or_none()
            claimed = None if row is None else self._claim(connection, number, runner)
        self._doubtful.discard(number)
        return number, claimed

    def read_queue(self, runner: str) -> Queue:
        left = _is_left(runner)
        oldest = func.min(case((left, operation.c.create_time)))
        counts = func.count(), func.count(case((left, 1))), oldest
        with self.database.read() as connection:
            all_open, free, created = connection.execute(select(*counts).where(operation.c.end_time.is_(None))).one()
        age = 0.0 if created is None else max(0.0, (self.database.now() - created) / 1_000_000)
        return Queue(free, all_open - free, age)

    def _claim(self, connection: Connection, number: int, runner: str) -> Operation | None:
        """None where its row is damaged: then it has ended in an error, and holds up no other."""
        mine = operation.c.id == number
        connection.execute(update(operation).where(mine).values(runner=runner, attempt=operation.c.attempt + 1))
        row = connection.execute(select_operations().where(mine)).one()
        try:
            return to_sound_operation(row)
        except DataLoss as error:
            _finish(connection, row, self.database.now(), error.status, ())
            return None

    @repeated
    def claim_again(self, value: Operation, runner: str) -> Operation | None:
        with self.database.write() as connection:
            row = _OWN.execute(connection, value.name.id, runner).one_or_none()
            return None if row is None else self._claim(connection, row.id, runner)

    def get_operation(self, name: OperationName) -> Operation:
        with self.database.read() as connection:
            return get_operation(connection, name)

    def get_operations(self, parent: DatasetName, numbers: Sequence[int]) -> list[Operation]:
        with self.database.read() as connection:
            return get_operations(connection, parent, numbers)

    def list_operations(
        self,
        parent: DatasetName,
        limit: int,
        before: int | None = None,
        done: bool | None = None,
        method: str | None = None,
    ) -> list[Operation]:
        with self.database.read() as connection:
            query = select_operations().where(operation.c.dataset_id == get_dataset_row(connection, parent).id)
            if before is not None:
                query = query.where(operation.c.id < before)
            if done is not None:
                query = query.where(operation.c.end_time.is_not(None) if done else operation.c.end_time.is_(None))
            if method is not None:
                query = query.where(operation.c.method == method)
            return to_operations(
                connection, connection.execute(query.order_by(operation.c.id.desc()).limit(limit)).all()
            )

    def list_open(self, limit: int) -> list[Operation]:
        query = select_operations().where(operation.c.end_time.is_(None)).order_by(operation.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return to_operations(connection, connection.execute(query).all())

    def list_failed(self, since: datetime, limit: int) -> list[Operation]:
        ended = operation.c.end_time > to_micros(since), operation.c.error_code != Code.CANCELLED
        query = select_operations().where(*ended).order_by(operation.c.end_time.desc()).limit(limit)
        with self.database.read() as connection:
            return to_operations(connection, connection.execute(query).all())

    @with_reserve
    @repeated
    def request_cancel(self, name: OperationName) -> int:
        with self.database.write() as connection:
            wanted = select_operations().where(operation.c.id == name.id, *is_in_dataset(name.dataset))
            row = connection.execute(wanted.with_for_update(of=operation)).one_or_none()
            if row is None:
                raise NotFound(f"operation {name} does not exist")
            if row.end_time is not None:
                return 0
            connection.execute(update(operation).where(operation.c.id == row.id).values(cancel_requested=True))
            if row.runner:
                return 0
            cancelled = (Failure(to_operation(row).subject, CANCELLED),)
            _finish(connection, row, self.database.now(), CANCELLED, cancelled)
            return 1

    @repeated
    def add_to_request(self, name: OperationName, facts: Mapping[str, str]) -> None:
        with self.database.write() as connection:
            mine = operation.c.id == name.id
            text = connection.execute(select(operation.c.request).where(mine)).scalar()
            if text is not None:
                values = {"request": json.dumps(dict(facts) | json.loads(text))}
                connection.execute(update(operation).where(mine).values(values))

    def cancel_requested(self, name: OperationName) -> bool:
        with self.database.read() as connection:
            return bool(connection.execute(select(operation.c.cancel_requested).filter_by(id=name.id)).scalar())

    @repeated
    def commit_batch(self, value: Operation, runner: str, batch: Batch) -> Committed:
        with self.database.write() as connection:
            row, now = self._own(connection, value, runner), self.database.now()
            action = action_of(value.method)
            lost = _add(connection, value.store_id, batch.instances, now, Cause(action))
            lost += apply_changes(connection, value.store_id, batch.changes, now) if batch.changes else ()
            lost += _replace(connection, value.store_id, batch.replacements, now, action)
            discard_blobs(connection, batch.garbage)
            seal_segments(connection, batch.segments)
            warnings = [*batch.warnings]
            if batch.selection:
                warnings += add_selection(connection, row.id, value.store_id, batch.selection)
            insert_entries(connection, row, now, batch.failures + lost)
            insert_entries(connection, row, now, warnings, Severity.WARNING)
            counts = max(row.listed, batch.listed), batch.succeeded - len(lost), len(batch.failures) + len(lost)
            place = os.fsencode(batch.checkpoint) or row.checkpoint, batch.blob_prefix or row.blob_prefix
            _COUNT.run(connection, [(*counts, *batch.transfer, *place, row.id)])
            note_progress(connection, row, row.success + row.failure + batch.succeeded + len(batch.failures), now)
            logged = len(batch.failures) + len(lost) + len(warnings)
            return Committed(bool(row.cancel_requested), len(lost), logged, tuple(each.status.code for each in lost))

    @repeated
    def finish_operation(
        self,
        value: Operation,
        runner: str,
        error: Status | None,
        entries: Sequence[Failure] = (),
        list_garbage: Callable[[str], Sequence[str]] | None = None,
        warnings: Sequence[Failure] = (),
    ) -> None:
        with self.database.write() as connection:
            row = self._own(connection, value, runner, needs_store=False)
            insert_entries(connection, row, self.database.now(), warnings, Severity.WARNING)
            discard_blobs(connection, list_garbage(row.blob_prefix) if list_garbage is not None else ())
            _finish(connection, row, self.database.now(), error, entries)

    def find_export(self, table: str) -> OperationName | None:
        query = select_operations().where(operation.c.end_time.is_(None), contains(operation.c.request, "table_uri"))
        with self.database.read() as connection:
            found = [to_operation(row) for row in connection.execute(query.order_by(operation.c.id))]
        return next((each.name for each in found if each.request.get("table_uri") == table), None)

    def list_progress(self, name: OperationName) -> list[tuple[datetime, int]]:
        query = select(progress.c.time, progress.c.done).where(progress.c.operation_id == name.id)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(progress.c.time))
            return [(from_micros(row.time), row.done) for row in rows]

    def _own(self, connection: Connection, value: Operation, runner: str, needs_store: bool = True) -> Row[Any]:
        mine, alive = fetch_each(
            connection, [(_OWN, (value.name.id, runner)), (_ALIVE, (value.store_id if needs_store else 0,))]
        )
        if not mine:
            raise TakenOver(f"operation {value.name} is not this runner's any more")
        row: Row[Any] = mine[0]
        if needs_store and value.store_id and not alive:
            raise NotFound(f"DICOM store {value.store} was deleted while the operation ran")
        return row


def _is_left(runner: str) -> ColumnElement[bool]:
    """Of an operation that is not done: neither this runner has claimed it, nor a server that is alive."""
    return and_(operation.c.runner != runner, operation.c.runner.not_in(select(server.c.id)))


def _add(
    connection: Connection, store_id: int, instances: Sequence[Instance], now: int, cause: Cause
) -> tuple[Failure, ...]:
    """New rows; the failures of instances that the index cannot hold, whose blobs become garbage."""
    refused = write_sound(connection, instances, lambda some: add_instances(connection, store_id, some, now, cause))
    discard_blobs(connection, [instances[number].blob_key for number in refused])
    return tuple(Failure(instances[n].resource or instances[n].path, error.status) for n, error in refused.items())


def _replace(
    connection: Connection, store_id: int, replacements: Sequence[Replacement], now: int, action: Action
) -> tuple[Failure, ...]:
    """The same for instances that are there."""
    lost: list[Failure] = []

    def replace(some: Sequence[Replacement]) -> None:
        lost.extend(replace_instances(connection, store_id, some, now, action))

    refused = write_sound(connection, replacements, replace)
    discard_blobs(connection, [replacements[number].after.blob_key for number in refused])
    lost += [Failure(replacements[number].before.path, error.status) for number, error in refused.items()]
    return tuple(lost)


_NUMBER: Any = bindparam("number")
_OWN = Statement(
    select(operation)
    .where(operation.c.id == _NUMBER, operation.c.runner == bindparam("by"), operation.c.end_time.is_(None))
    .with_for_update(),
    *("number", "by"),
)
_ALIVE = Statement(
    select(dicom_store.c.id)
    .where(dicom_store.c.id == _NUMBER, dicom_store.c.deleted.is_(False))
    .with_for_update(read=True),
    "number",
)
_SUMS = ("success", "failure", "transferred_bytes", "unchecked", "files")
_COUNT = Statement(
    update(operation)
    .where(operation.c.id == _NUMBER)
    .ordered_values(
        (operation.c.listed, bindparam("listed")),
        *((operation.c[name], operation.c[name] + bindparam(f"more_{name}")) for name in _SUMS),
        *((operation.c[name], bindparam(name)) for name in ("checkpoint", "blob_prefix")),
    ),
    *("listed", *(f"more_{name}" for name in _SUMS), "checkpoint", "blob_prefix", "number"),
)


def _finish(connection: Connection, row: Row[Any], now: int, error: Status | None, entries: Sequence[Failure]) -> None:
    insert_entries(connection, row, now, entries)
    connection.execute(delete(selection).where(selection.c.operation_id == row.id))
    connection.execute(
        update(operation)
        .where(operation.c.id == row.id)
        .values(
            end_time=max(latest(connection, now), row.create_time),
            listed=row.listed if entries else row.success + row.failure,
            error_code=None if error is None else int(error.code),
            error_message=None if error is None else error.message,
            error_reason="" if error is None else error.reason.value,
        )
    )
