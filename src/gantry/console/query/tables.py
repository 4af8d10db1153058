"""Tables and columns beside the editor: those that the caller may see."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.responses import Response

from gantry.api.bigquery.methods import VERSION
from gantry.console.page_call import PageCall
from gantry.console.query.jobs import READ
from gantry.console.refusals import Refused
from gantry.errors import StatusError
from gantry.languages import _
from gantry.query_seams import Field, TableInfo
from gantry.table_address import TableAddress

_MOST_TABLES, _MOST_COLUMNS = 50, 1000
_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
"""Names of types as queries have them."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"rows"})
"""Keywords of DICOM that GoogleSQL reserves."""


@dataclass(frozen=True, slots=True)
class Column:
    """``insert`` is its name as a query has it."""

    name: str
    kind: str
    insert: str


@dataclass(frozen=True, slots=True)
class Tables:
    """``addresses`` of those that may be seen, not all where there are ``more``. ``away`` are datasets that cannot be
    listed now. ``is_denied``: there are tables that the caller may not read."""

    addresses: Sequence[TableAddress]
    more: bool = False
    away: Sequence[str] = ()
    is_denied: bool = False


def list_tables(call: PageCall) -> Tables:
    found: list[TableAddress] = []
    away: list[str] = []
    projects = call.context.seams.queries.list_projects()
    readable = [project for project in projects if call.api.caller.has(READ, project)]
    for project in readable:
        try:
            for address in _list_project(call, project):
                found.append(address)
                if len(found) > _MOST_TABLES:
                    return Tables(found[:_MOST_TABLES], True, away, False)
        except StatusError:
            away.append(project)
    return Tables(found, False, away, len(readable) < len(projects))


def _list_project(call: PageCall, project: str) -> Iterator[TableAddress]:
    """Raises PermissionDenied, DiskAway."""
    for dataset in call.context.seams.queries.list_datasets(project):
        with call.api.begin("GET", f"v2/projects/{project}/datasets/{dataset}/tables", VERSION):
            names = call.context.seams.queries.list_tables(project, dataset)
        yield from (TableAddress(project, dataset, name) for name in names)


def look(call: PageCall, address: TableAddress) -> TableInfo:
    """Raises PermissionDenied, NotFound, DiskAway."""
    path = f"v2/projects/{address.project}/datasets/{address.dataset}/tables/{address.table}"
    with call.api.begin("GET", path, VERSION):
        call.api.caller.require("bigquery.tables.get", address.project)
        return call.context.seams.queries.look(address)


def show_columns(call: PageCall) -> Response:
    """The part with the columns of a table."""
    info = look(call, TableAddress.parse(f"bq://{call.query.get('table', '')}"))
    return call.show("query_columns.html", table=name_of(info.address), info=info, columns=list_columns(info))


def list_columns(info: TableInfo) -> list[Column]:
    return [_describe(field) for field in info.fields[:_MOST_COLUMNS]]


def _describe(field: Field) -> Column:
    kind = _TYPES.get(field.type, field.type)
    return Column(field.name, f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind, quote(field.name))


def quote(name: str) -> str:
    """A name as it stands in a query."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _RESERVED else f"`{name}`"


def name_of(address: TableAddress) -> str:
    """``PROJECT.DATASET.TABLE``"""
    return f"{address.project}.{address.dataset}.{address.table}"


def look_at_chosen(call: PageCall, found: Tables) -> TableInfo | None:
    """The table that the address of the page names, else the first one; None for one that cannot be read now. Raises
    InvalidArgument."""
    chosen = found.addresses[0] if found.addresses else None
    if text := call.query.get("table", ""):
        chosen = TableAddress.parse(f"bq://{text}")
        if chosen not in found.addresses:
            raise Refused(_("there is no table “{name}”, or it may not be read").format(name=text[:200]))
    with suppress(StatusError):
        return look(call, chosen) if chosen is not None else None
    return None
