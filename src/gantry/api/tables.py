"""``bigqueryDestination`` of an export: which table, and what is done with what is in it."""

from __future__ import annotations

from functools import partial
from typing import Any

from gantry.api.call import Call
from gantry.api.stream_configs import ANSWER_SECONDS, Config, check_destination, refuse_change_data_capture
from gantry.calls_that_hang import call_within
from gantry.errors import InvalidArgument, invalid_field
from gantry.operations.export_tables import EMPTY, MISSING, TRUNCATE
from gantry.table_address import TableAddress

_FIELD = "bigqueryDestination"
_UNSPECIFIED = "WRITE_DISPOSITION_UNSPECIFIED"


def read_table(call: Call, destination: Config) -> dict[str, Any]:
    """The details of the operation. Raises InvalidArgument that names the field, FailedPrecondition where the settings
    have no place for the table."""
    check_destination(_FIELD, destination)
    address = _read_address(call, destination["table_uri"])
    if destination.get("change_data_capture_config") is not None:
        refuse_change_data_capture(_FIELD, destination)
    return {
        "table_uri": str(address),
        "disposition": _choose_disposition(destination),
        "schema": "JSON" if destination.get("schema_as_json") is not None else "FLATTENED",
        "source_store": bool(destination.get("include_source_store")),
    }


def _read_address(call: Call, text: str) -> TableAddress:
    try:
        address = TableAddress.parse(text)
        call_within(ANSWER_SECONDS, f"table {address}", partial(call.context.seams.warehouse.require, address))
    except InvalidArgument as error:
        raise invalid_field(f"{_FIELD}.tableUri", error.message) from None
    return address


def _choose_disposition(destination: Config) -> str:
    """``force`` counts only without ``writeDisposition``."""
    found = str(destination.get("write_disposition") or _UNSPECIFIED)
    if found != _UNSPECIFIED:
        return found
    force = destination.get("force")
    return EMPTY if force is None else TRUNCATE if force else MISSING
