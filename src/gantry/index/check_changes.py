"""The change feed: no number is missing, each deletion will be told wholly, each pack can be read."""

# ruff: noqa: S608 - queries are made of the constants of these modules alone
from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, select, tuple_

from gantry.errors import DataLoss
from gantry.events import unpack_events
from gantry.findings import Finding, Kind
from gantry.index.check_counts import ALIVE
from gantry.index.statements import CompiledQuery
from gantry.index.tables import change_pack, dicom_store
from gantry.index.temporary_tables import stream

_PAGE = 200
_BEFORE = (
    "NOT EXISTS (SELECT 1 FROM {table} AS before WHERE before.store_id = change_pack.store_id "
    "AND before.number {compare} change_pack.number - 1)"
)
_WRONG = {
    "a number before it is missing": f"SELECT store_id, number FROM change_pack WHERE part = 0 AND number > 1 "
    f"AND store_id {ALIVE} AND {_BEFORE.format(table='change_pack', compare='=')} "
    f"AND {_BEFORE.format(table='change_start', compare='>=')}",
    "its deletion will never be told wholly": "SELECT store_id, number FROM change_pack WHERE pending IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM dicom_store WHERE dicom_store.id = pending)",
    "its store does not exist": "SELECT DISTINCT store_id, 0 FROM change_pack WHERE NOT EXISTS "
    "(SELECT 1 FROM dicom_store WHERE dicom_store.id = store_id)",
}


def find_wrong_changes(connection: Connection) -> Iterator[Finding]:
    for what, query in _WRONG.items():
        for store_id, number in stream(connection, query):
            yield Finding(Kind.ROW_WRONG, _name(store_id, number), what)
    yield from _find_damaged(connection)


def _find_damaged(connection: Connection) -> Iterator[Finding]:
    stores = select(dicom_store.c.id).where(dicom_store.c.deleted.is_(False))
    for store_id in connection.execute(stores).scalars().all():
        values = {"store": store_id, "number": 0, "part": -1}
        while rows := _PACKS.fetch(connection, values):
            for number, _, data in rows:
                try:
                    unpack_events(data)
                except DataLoss as error:
                    yield Finding(Kind.ROW_WRONG, _name(store_id, number), error.what)
            values |= {"number": rows[-1][0], "part": rows[-1][1]}


def _name(store_id: int, number: int) -> str:
    return f"store {store_id}, changes {number}"


_KEY = change_pack.c.number, change_pack.c.part
_PACKS = CompiledQuery(
    select(*_KEY, change_pack.c.data)
    .where(change_pack.c.store_id == bindparam("store"), tuple_(*_KEY) > tuple_(bindparam("number"), bindparam("part")))
    .order_by(*_KEY)
    .limit(_PAGE)
)
