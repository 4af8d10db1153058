"""Rows of operations, and values made of them."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from gantry.counters import ProgressCounter, Transfer
from gantry.errors import DataLoss, InvalidArgument, NotFound
from gantry.index.clock import from_micros
from gantry.index.log_rows import make_status, select_errors
from gantry.index.statements import Statement
from gantry.index.tables import dataset, operation, progress, trail
from gantry.names import DatasetName, OperationName, parse_dicom_store_name
from gantry.resources import Failure, Method, Operation

logger = logging.getLogger(__name__)

MAX_SAMPLES = 10
NO_DATASET = 0  # no operation can be found in it

_POINT = 1_000_000  # microseconds between two points of progress at least
_LAST_POINT = Statement(
    select(func.max(progress.c.time)).where(progress.c.operation_id == bindparam("number")), "number"
)
_LAST_MILLISECOND = (1 << 42) - 1  # in the year 2109; behind it there is room for as many numbers again
_STEP_BITS = 30
_LAST_ID = Statement(select(func.max(operation.c.id)))
_TRAIL = Statement(select(func.max(trail.c.time)))


def count_open_operations(connection: Connection, project: str) -> int:
    query = select(func.count()).select_from(operation).join(dataset, dataset.c.id == operation.c.dataset_id)
    query = query.where(operation.c.end_time.is_(None), dataset.c.project == project)
    return int(connection.execute(query).scalar_one())


def select_operations() -> Select[Any]:
    names = (dataset.c.project, dataset.c.location, dataset.c.dataset)
    return select(operation, *names).join(dataset, dataset.c.id == operation.c.dataset_id)


def get_operation(connection: Connection, name: OperationName) -> Operation:
    """With its first failures as samples. Raises NotFound."""
    operations = get_operations(connection, name.dataset, [name.id])
    if not operations:
        raise NotFound(f"operation {name} does not exist")
    return operations[0]


def get_operations(connection: Connection, parent: DatasetName, numbers: Sequence[int]) -> list[Operation]:
    """Newest first, with their first failures as samples; those that do not exist are missing."""
    query = select_operations().where(operation.c.id.in_(numbers), *is_in_dataset(parent))
    return to_operations(connection, connection.execute(query.order_by(operation.c.id.desc())).all())


def to_operations(connection: Connection, rows: Sequence[Row[Any]]) -> list[Operation]:
    """With their samples, in the order of ``rows``."""
    samples = select_samples(connection, rows)
    return [to_operation(row, samples.get(row.id, ())) for row in rows]


def is_in_dataset(name: DatasetName) -> tuple[Any, ...]:
    return dataset.c.project == name.project, dataset.c.location == name.location, dataset.c.dataset == name.dataset


def hide_operations(connection: Connection, dataset_id: int, now: int) -> None:
    """Those of a dataset that goes: they are over, nothing finds them, and ``retention`` removes them in pieces."""
    end = latest(connection, now)
    values = {"dataset_id": NO_DATASET, "runner": "", "end_time": func.coalesce(operation.c.end_time, end)}
    connection.execute(update(operation).where(operation.c.dataset_id == dataset_id).values(values))


def to_sound_operation(row: Row[Any]) -> Operation:
    """For whoever runs it. Raises DataLoss where its row is damaged."""
    try:
        if not isinstance(json.loads(row.request), dict):
            raise ValueError
        return to_operation(row)
    except (ValueError, InvalidArgument):
        logger.exception("the row of operation %d in the index is damaged", row.id)
        raise DataLoss("the row of this operation in the index is damaged", advice="start it again") from None


def to_operation(row: Row[Any], samples: tuple[Failure, ...] = ()) -> Operation:
    return Operation(
        name=OperationName(DatasetName(row.project, row.location, row.dataset), row.id),
        version=row.version,
        method=Method(row.method),
        create_time=from_micros(row.create_time),
        request=_read_request(row.request),
        store=parse_dicom_store_name(row.store) if row.store else None,
        store_id=row.store_id,
        end_time=None if row.end_time is None else from_micros(row.end_time),
        counter=ProgressCounter(row.listed, row.success, row.failure),
        transfer=Transfer(row.transferred_bytes, row.unchecked, row.files),
        checkpoint=os.fsdecode(row.checkpoint or b""),
        blob_prefix=row.blob_prefix,
        attempt=row.attempt,
        cancel_requested=row.cancel_requested,
        error=None if row.error_code is None else make_status(row.error_code, row.error_message, row.error_reason),
        samples=samples,
    )


def _read_request(text: str) -> dict[str, Any]:
    """Empty where it is damaged: the operation can be shown, and those beside it."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def select_samples(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, tuple[Failure, ...]]:
    """The first failures of those operations that ended in an error, by their numbers."""
    failed = [row.id for row in rows if row.error_code is not None]
    return select_errors(connection, failed, MAX_SAMPLES)


def note_progress(connection: Connection, row: Row[Any], done: int, now: int) -> None:
    """A point now and then: their number grows with the logarithm of the time."""
    last = _LAST_POINT.execute(connection, row.id).scalar() or 0
    if now - last >= max(_POINT, (now - row.create_time) // 200):
        connection.execute(insert(progress), {"operation_id": row.id, "time": now, "done": done})


def latest(connection: Connection, now: int) -> int:
    """When something ends: not before the time up to which the clock was followed. Where it was set back, what ends
    now would look old when it is right again."""
    return max(now, _TRAIL.execute(connection).scalar() or 0)


def insert_done_operation(
    connection: Connection, now: int, *, method: Method, request: dict[str, Any] | None = None, **columns: Any
) -> int:
    """An operation that was over when it was created; its number."""
    row = {
        "id": make_id(connection, now),
        "method": method.value,
        "request": json.dumps(request or {}),
        "checkpoint": b"",
    }
    end = latest(connection, now)
    connection.execute(insert(operation), row | columns | {"create_time": now, "end_time": end})
    return int(row["id"])


def make_id(connection: Connection, now: int) -> int:
    """A number above all that are there: milliseconds, then chance. Where the clock was set back, or stands still, it
    follows the last number by chance, so that an index put back from a backup does not repeat those it does not know.
    """
    milliseconds = min(max(now // 1000, 0), _LAST_MILLISECOND)
    made = (milliseconds << 20) | secrets.randbits(20)
    last = _LAST_ID.execute(connection).scalar() or 0
    return made if made > last else int(last) + 1 + secrets.randbits(_STEP_BITS)
