"""A stored instance that is looked up again while a request for it runs: moved, deleted, or replaced by another one."""

from __future__ import annotations

from gantry.errors import Replaced
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams


def find_same(seams: Seams, store: DicomStoreName, row: StoredInstance) -> StoredInstance:
    """The row of an instance as it is now, perhaps in another place. Raises NotFound where the instance was deleted
    since ``row`` was read, and Replaced where it has other bytes now."""
    now = find_now(seams, store, row)
    require_same(now, row)
    return now


def find_now(seams: Seams, store: DicomStoreName, row: StoredInstance) -> StoredInstance:
    """The row of an instance as it is now, whatever it was. Raises NotFound."""
    return next(seams.index.instances.list_below(store, ResourcePath(*row.uids)))


def require_same(now: StoredInstance, before: StoredInstance) -> None:
    """Raises Replaced where two rows of an instance name different bytes: the type, the entity tag and the range of an
    answer come from ``before`` and would be wrong (RFC 9110 §8.8.1, §13.1.5)."""
    if _describe_content(now) != _describe_content(before):
        raise Replaced(f"instance {before.sop_instance_uid} was replaced while it was sent; send the request again")


def _describe_content(row: StoredInstance) -> tuple[object, ...]:
    """Values that a move to another place does not change, and that a replacement of the instance does."""
    return row.size, row.transfer_syntax_uid, row.pack_id, row.pack_number
