"""``dicomStores.export`` to a table: a row for each instance.

Rows are staged in batches, as any export is committed. Then, when the columns of all are known, files are made of them,
and the table becomes visible at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial, reduce
from typing import TypeVar

from gantry.errors import Aborted, AlreadyExists, FailedPrecondition, Internal, NoWorker
from gantry.operations.batches import cut, describe_death, run_in_order
from gantry.operations.blob_keys import format_sortable
from gantry.operations.interruption import go_on
from gantry.operations.per_instance import Work, process_instances
from gantry.operations.table_rows import Staged, read_packs, stage_rows
from gantry.operations.table_use import open_table
from gantry.resources import Batch, Failure, Operation, StoredInstance
from gantry.seams import Seams
from gantry.table_address import TableAddress
from gantry.table_schema import Columns, merge_columns
from gantry.table_seams import ExportTable, TableFile, TablePlan, TableVersion
from gantry.tables.columns import METADATA, list_fixed_columns
from gantry.tables.rows import RowForm
from gantry.worker_calls import Check, WorkerDied, end_calls, wait_for_result

Out = TypeVar("Out")
MAX_ITEMS, MAX_BYTES = 2048, 1 << 40  # of the instances in a batch: only their headers are read, 0.1 ms each
EMPTY, TRUNCATE, APPEND = "WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_APPEND"
MISSING = "MISSING"
"""What ``force = false`` asks for: unlike with WRITE_EMPTY the table may not even exist."""


def export_tables(seams: Seams, operation: Operation, check: Check) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. Raises AlreadyExists, FailedPrecondition, NotFound for a missing filter file."""
    table = open_table(seams, operation)
    if _is_published(table, table.look()):
        return run_short(seams, table.finish)
    _require_room(operation, table.look())
    table.begin(operation.blob_prefix)
    success = operation.counter.success
    with closing(process_instances(seams, operation, _stage(seams, operation, table), check)) as batches:
        for batch in batches:
            success += batch.success
            yield batch
    _write(seams, operation, table, success, check)


def _stage(seams: Seams, operation: Operation, table: ExportTable) -> Work[Staged]:
    """Batches of rows. Their names sort like their commits, so what was not committed is known by its name."""
    form, blobs = read_form(operation), seams.blobs

    def name(number: int) -> str:
        return f"{format_sortable(operation.attempt)}-{format_sortable(number)}"

    def submit(number: int, instances: Sequence[StoredInstance], offset: int) -> Future[list[Staged | Failure]]:
        stage = f"{name(number)}.{offset}-{len(instances)}"
        call = partial(stage_rows, name=stage, blobs=blobs, form=form, table=table)
        return seams.executor.submit(call, list(instances), read_packs(seams, instances))

    def to_batch(number: int, _: Sequence[StoredInstance], outcomes: Sequence[Staged | Failure]) -> Batch:
        staged = [outcome for outcome in outcomes if isinstance(outcome, Staged)]
        found = {each.stages: each.columns for each in staged}
        if found:
            table.keep([stage for stages in found for stage in stages], reduce(merge_columns, found.values()))
        return Batch("", success=len(staged), blob_prefix=name(number))

    return Work[Staged]("made its row", submit, to_batch, limits={"max_items": MAX_ITEMS, "max_bytes": MAX_BYTES})


def read_form(operation: Operation) -> RowForm:
    source = str(operation.store) if operation.request.get("source_store") else ""
    return RowForm(operation.request.get("schema") == "JSON", source)


def _fixed_columns(operation: Operation) -> Columns:
    form = read_form(operation)
    return list_fixed_columns(form.as_json, bool(form.source))


# --- when all rows are there


def _write(seams: Seams, operation: Operation, table: ExportTable, rows: int, check: Check) -> None:
    """Make the files and show them. Where another export has written the table meanwhile, once more."""
    while True:
        plan = table.plan(_fixed_columns(operation), operation.request["disposition"] == APPEND)
        _require_room(operation, plan.before)
        if sum(file.rows for file in plan.files if not file.older) != rows:
            raise Aborted("rows that this export has made are gone from the directory", advice="start the export again")
        write_files(seams, table, plan, check)
        check()
        if run_short(seams, partial(table.publish, plan)):
            return


def write_files(seams: Seams, table: ExportTable, plan: TablePlan, check: Check) -> None:
    """In workers. Raises Internal for a file that cannot be made, or has other rows than planned."""

    def submit(_number: int, files: Sequence[TableFile], _offset: int) -> Future[list[int | Failure]]:
        return seams.executor.submit(_write_some, table, plan, list(files))

    def on_death(file: TableFile, error: WorkerDied) -> int | Failure:
        return describe_death(f"file {file.number} of the table", "wrote this file", error)

    batches = cut(plan.files, lambda _: 1, max_items=1)
    with closing(run_in_order(submit, batches, seams.executor.size, on_death, check)) as results:
        for _, (file,), (outcome,) in results:
            if isinstance(outcome, Failure):
                raise Internal(f"{outcome.resource}: {outcome.status.message}")
            if not file.older and outcome != file.rows:
                raise Internal(f"file {file.number} of the table has {outcome} rows instead of {file.rows}")


def _write_some(table: ExportTable, plan: TablePlan, files: Sequence[TableFile]) -> list[int | Failure]:
    return [table.write_file(plan, file) for file in files]


def run_short(seams: Seams, call: Callable[[], Out]) -> Out:
    """A short call in a worker that nobody cancels: it either shows the whole table, or nothing."""
    future = seams.executor.submit(call)
    try:
        return wait_for_result(future, go_on)
    except WorkerDied:
        raise NoWorker("the worker process died while it showed the table") from None
    finally:
        end_calls([future])


def _is_published(table: ExportTable, found: TableVersion | None) -> bool:
    return found is not None and table.key in found.exports


def _require_room(operation: Operation, found: TableVersion | None) -> None:
    """Raises AlreadyExists where the disposition leaves the table as it is, FailedPrecondition where rows of this
    schema do not fit into it."""
    address, disposition = TableAddress.parse(operation.request["table_uri"]), operation.request["disposition"]
    if found is None or disposition == TRUNCATE:
        return
    if disposition == APPEND:
        require_schema(address, read_form(operation), found)
    elif disposition == MISSING:
        raise AlreadyExists(
            f"table {address} exists", advice="set force, or writeDisposition to WRITE_TRUNCATE or WRITE_APPEND"
        )
    elif found.rows:
        raise AlreadyExists(
            f"table {address} has {found.rows:,} rows, and writeDisposition is WRITE_EMPTY",
            advice="set it to WRITE_TRUNCATE or WRITE_APPEND",
        )


def require_schema(address: TableAddress, form: RowForm, found: TableVersion) -> None:
    """Raises FailedPrecondition where rows of this schema do not fit into a table."""
    is_json = any(column.name == METADATA for column in found.columns)
    if found.columns and is_json != form.as_json:
        known = "schemaJson" if is_json else "schemaFlattened"
        raise FailedPrecondition(
            f"table {address} has the columns of {known}, and no others can be appended",
            advice=f"set {known}, or write to another table",
        )
