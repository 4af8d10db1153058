"""How an export of metadata uses its table: the one that it began with, to its end."""

from __future__ import annotations

import hashlib
import logging

from gantry.errors import DiskAway, InvalidArgument, NotFound, StatusError
from gantry.names import parse_operation_name
from gantry.resources import Operation
from gantry.seams import Seams
from gantry.table_address import TableAddress
from gantry.table_seams import ExportTable

logger = logging.getLogger(__name__)

_STREAM = "stream "
_IDENTITY = "table_identity"
_ADVICE = "mount it; if it is gone for good, cancel the operation and start it again"


def is_table_export(operation: Operation) -> bool:
    """Whether an operation writes rows to a table."""
    return "table_uri" in operation.request


def open_table(seams: Seams, operation: Operation) -> ExportTable:
    """The table. What tells its place from another one is kept with the operation, before anything is written.

    Raises FailedPrecondition where the settings have no place for it, and DiskAway where that is another one now.
    """
    address = TableAddress.parse(operation.request["table_uri"])
    table = seams.warehouse.open(address, _make_key(operation), str(operation.name), operation.attempt)
    before = str(operation.request.get(_IDENTITY, ""))
    if not before:
        seams.index.operations.add_to_request(operation.name, {_IDENTITY: table.identity})
    elif not table.is_same(before):
        what = f"the directory of {address} is not the one that the operation began with"
        raise DiskAway(what, advice=_ADVICE)
    return table


def _make_key(operation: Operation) -> str:
    """Also of another server whose operations have the same numbers."""
    text = f"{operation.name} {operation.create_time.isoformat()}"
    return f"{operation.name.id}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def discard_table(seams: Seams, operation: Operation) -> None:
    """Remove what an export has staged that has failed or was cancelled. What cannot be removed now is swept later."""
    try:
        open_table(seams, operation).discard()
    except StatusError as error:
        logger.warning("operation %s: its rows stay for now: %s", operation.name, error.message)


def sweep_tables(seams: Seams) -> None:
    """Remove what operations that are over have left, and versions of tables that were replaced a while ago."""
    seams.warehouse.sweep(lambda owner: _is_over(seams, owner))


def name_stream(store_id: int, table: str) -> str:
    """Of the owner of rows that follow a store."""
    return f"{_STREAM}{store_id} {table}"


def _is_over(seams: Seams, owner: str) -> bool:
    if owner.startswith(_STREAM):
        number, _, table = owner.removeprefix(_STREAM).partition(" ")
        return seams.index.deliveries.find(int(number), table) is None
    try:
        return seams.index.operations.get_operation(parse_operation_name(owner)).done
    except (NotFound, InvalidArgument, ValueError):
        return True
