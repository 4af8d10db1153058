"""What finds series, compared with what their rows say: start times and requests."""

# ruff: noqa: S608 - queries are made of the constants of this module alone
from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, or_, select

from gantry.findings import Finding, Kind
from gantry.index.requests import START_TIME, has_value, list_requests, read_start_time
from gantry.index.retelling import series_said
from gantry.index.tables import dicom_store, series
from gantry.index.temporary_tables import INTEGER, TEXT, execute, make_table, stream

_PAGE = 500
_COLUMNS = "series_id, scheduled_step_id, requested_procedure_id, store_id"
_TYPES = {"series_id": INTEGER, "scheduled_step_id": TEXT, "requested_procedure_id": TEXT, "store_id": INTEGER}
# A series that was deleted keeps its rows until they are removed with it.
_ALIVE = "SELECT id FROM series WHERE store_id IN (SELECT id FROM dicom_store WHERE NOT deleted)"


def find_wrong_times(connection: Connection) -> Iterator[Finding]:
    """Where ``members`` have a value without a text, the time is from another instance of the series."""
    query = select(series).where(or_(series.c.start_time != "", series.c.members.contains("00400245")))
    for row in _walk(connection, query):
        members = series_said(row).members
        said = read_start_time(members)
        if said != row.start_time and (said or not has_value(members, START_TIME)):
            yield Finding(Kind.TERM_WRONG, f"series {row.id}", f"its start time is not the {said!r} of its attributes")


def make_request_table(connection: Connection) -> None:
    """Before the moment at which requests are compared."""
    make_table(connection, "wanted_request", _TYPES)


def find_wrong_requests(connection: Connection) -> Iterator[Finding]:
    """What is wanted is collected in a table of this connection alone: see ``make_request_table``."""
    _collect(connection)
    said, wanted = (f"SELECT {_COLUMNS} FROM {table}" for table in ("series_request", "wanted_request"))
    said += f" WHERE series_id IN ({_ALIVE})"
    for what, query in (("is missing", f"{wanted} EXCEPT {said}"), ("is too much", f"{said} EXCEPT {wanted}")):
        for row in stream(connection, query):
            yield Finding(Kind.TERM_WRONG, f"series {row[0]}", f"{tuple(row[1:3])!r} in series_request {what}")
    dead = (
        "SELECT series_id FROM series_request WHERE NOT EXISTS "
        "(SELECT 1 FROM series WHERE series.id = series_request.series_id)"
    )
    for (number,) in islice(stream(connection, dead), 1000):
        yield Finding(Kind.TERM_WRONG, f"series {number}", "series_request names it, but there is no such series")


def _collect(connection: Connection) -> None:
    for row in _walk(connection, select(series).where(series.c.members.contains("00400275"))):
        wanted = [(row.id, *pair, row.store_id) for pair in list_requests(series_said(row).members)]
        if wanted:
            execute(connection, "INSERT INTO wanted_request VALUES (?, ?, ?, ?)", wanted)


def _walk(connection: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    """Series of stores that are not deleted, page by page."""
    alive = select(dicom_store.c.id).where(dicom_store.c.deleted.is_(False))
    query, last = query.where(series.c.store_id.in_(alive)).order_by(series.c.id).limit(_PAGE), 0
    while rows := connection.execute(query.where(series.c.id > last)).all():
        last = rows[-1].id
        yield from rows
