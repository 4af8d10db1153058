"""What is said of a change that came too late: the instance is not as it was read any more."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from gantry.errors import Code, Status
from gantry.index.lookups import find_stored
from gantry.reasons import Reason
from gantry.resources import Failure, StoredInstance


def explain_late(connection: Connection, store_id: int, late: Iterable[tuple[StoredInstance, bool]]) -> list[Failure]:
    """Failures of instances as they were read, each with whether its row is still there.

    One without its row may have been stored again: the only instance of a series comes back in a new series.
    """
    late = list(late)
    again = find_stored(connection, store_id, [read.uids for read, there in late if not there])
    return [_explain(read, there or read.uids in again) for read, there in late]


def _explain(read: StoredInstance, there: bool) -> Failure:
    if there:
        status = Status(
            Code.ABORTED, "this instance was changed or moved meanwhile", "try again", kind=Reason.INSTANCE_CHANGED
        )
    else:
        status = Status(Code.NOT_FOUND, "this instance was deleted meanwhile", kind=Reason.INSTANCE_GONE)
    return Failure(read.path, status)
