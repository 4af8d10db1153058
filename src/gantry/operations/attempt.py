"""One attempt at an operation: from its checkpoint to its end, or until it is interrupted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress

from gantry.calls_that_hang import hearing
from gantry.errors import Cancelled, Internal, StatusError, TakenOver
from gantry.operations.blob_keys import sweep_attempt, sweep_uncommitted
from gantry.operations.commits import Totals, commit, finish
from gantry.operations.export_dicom_data import delete_unfinished, export_dicom_data
from gantry.operations.export_tables import export_tables
from gantry.operations.import_dicom_data import import_dicom_data
from gantry.operations.interruption import OperationCheck, Stopping, make_stop_check
from gantry.operations.set_blob_storage_settings import set_blob_storage_settings
from gantry.operations.table_use import discard_table, is_table_export
from gantry.operations.update_metadata import update_metadata
from gantry.operations.waits import Waits
from gantry.resources import CANCELLED, Batch, Failure, Method, Operation
from gantry.seams import Seams
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)

Verb = Callable[[Seams, Operation, Check], Generator[Batch, None, None]]


def _export(seams: Seams, operation: Operation, check: Check) -> Generator[Batch, None, None]:
    return (export_tables if is_table_export(operation) else export_dicom_data)(seams, operation, check)


VERBS: dict[Method, Verb] = {
    Method.IMPORT_DICOM_DATA: import_dicom_data,
    Method.EXPORT_DICOM_DATA: _export,
    Method.SET_BLOB_STORAGE_SETTINGS: set_blob_storage_settings,
    Method.UPDATE_STUDY_METADATA: update_metadata,
    Method.UPDATE_SERIES_METADATA: update_metadata,
}


def run_operation(
    seams: Seams,
    operation: Operation,
    runner: str,
    stopping: threading.Event,
    totals: Totals,
    waits: Waits | None = None,
) -> None:
    """Run until the operation is done, or until ``stopping`` is set: then it stays claimed for the next start.

    Raises TakenOver where another runner has claimed it meanwhile, and the errors that it waits after (``waits_for``).
    """
    waits = waits or Waits()
    check, stop = OperationCheck(seams, operation, stopping, waits), make_stop_check(stopping)
    try:
        with hearing(check.look):  # a bucket that gives no answer delays neither a cancel nor a stop
            _run(seams, operation, runner, totals, waits, check, stop)
    except Stopping:
        logger.info("operation %s: attempt %d stops; it continues at the next start", operation.name, operation.attempt)


def _run(
    seams: Seams, operation: Operation, runner: str, totals: Totals, waits: Waits, check: OperationCheck, stop: Check
) -> None:
    """As ``run_operation``. Raises Stopping, too."""
    committed, error, subject = operation.blob_prefix, None, ""
    warnings: tuple[Failure, ...] = ()
    try:
        if operation.method is Method.EXPORT_DICOM_DATA and operation.attempt > 1 and not is_table_export(operation):
            delete_unfinished(seams, operation, stop)
        check()
        sweep_uncommitted(seams, operation, check)
        with closing(VERBS[operation.method](seams, operation, check)) as batches:
            for batch in batches:
                if batch.is_end:
                    warnings = batch.warnings
                    break
                cancelled = commit(seams, operation, runner, batch, totals, check)
                committed = batch.blob_prefix or committed
                waits.end(operation.name.id)
                if cancelled:
                    raise Cancelled(CANCELLED.message)
                check()
    except TakenOver:
        sweep_attempt(seams, operation, committed)
        raise
    except Stopping:
        raise
    except StatusError as failed:
        if failed.waits_for is not None:
            with suppress(StatusError):  # while it waits it takes no room; the next attempt tries again
                sweep_uncommitted(seams, operation, stop)
            raise
        error, subject = failed.status, failed.resource
    except Exception:
        logger.exception("operation %s failed", operation.name)
        error = Internal("an internal error; the server's log has the details").status
    if error is not None and is_table_export(operation):
        discard_table(seams, operation)
    finish(seams, operation, runner, error, subject, stop, warnings)
