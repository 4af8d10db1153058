"""*Export DICOM store* to a table: the metadata of instances."""

from __future__ import annotations

from typing import Any

from gantry.console.page_call import PageCall
from gantry.console.refusals import Refused
from gantry.errors import StatusError
from gantry.languages import N_, _
from gantry.table_address import TableAddress

BIGQUERY = "bigquery"
DISPOSITIONS = (
    ("WRITE_EMPTY", N_("Refuse to write")),
    ("WRITE_TRUNCATE", N_("Replace them")),
    ("WRITE_APPEND", N_("Add rows to them")),
)
_TABLE = "instances"


def read_given(call: PageCall) -> dict[str, str]:
    """What the address of the page fills in: ``destination``, ``table``, and a filter file."""
    query = call.query
    found = {
        "destination": BIGQUERY if query.get("destination") == BIGQUERY else "bucket",
        "table": query.get("table") or _suggest(call),
        "disposition": DISPOSITIONS[0][0],
        "schema": "flattened",
    }
    if query.get("filter") == "file":
        found |= {"filter": "file", "filter_uri": query.get("filter_uri", "")}
    return found


def _suggest(call: PageCall) -> str:
    """A table in the first dataset that has a directory; "" where the settings name none."""
    queries = call.context.seams.queries
    for project in queries.list_projects():
        try:
            datasets = queries.list_datasets(project)
        except StatusError:  # its disk is away
            continue
        return str(TableAddress(project, next(iter(datasets), "metadata"), _TABLE))
    return ""


def start(call: PageCall) -> dict[str, Any]:
    """The operation. Raises InvalidArgument, and what an export does."""
    given = call.form
    destination: dict[str, Any] = {
        "tableUri": given.get("table", "").strip(),
        "writeDisposition": given.get("disposition", ""),
        "schemaJson" if given.get("schema") == "json" else "schemaFlattened": {},
    }
    body: dict[str, Any] = {"bigqueryDestination": destination}
    kind = given.get("filter", "")
    if kind == "file":
        body["filterConfig"] = {"resourcePathsGcsUri": given.get("filter_uri", "").strip()}
    elif kind != "all":
        raise Refused(_("an export to a table takes all instances, or a filter file in a bucket"))
    answer: dict[str, Any] = call.api.send("POST", f"{call.store}:export", body)
    return answer
