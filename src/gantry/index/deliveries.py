"""How far changes were told: a row for each topic and each table of each DICOM store."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from gantry.events import Position
from gantry.index.database import Part
from gantry.index.delivery_table import delivery
from gantry.index.feed import find_end
from gantry.index.resource_rows import IS_ALIVE
from gantry.index.statements import CompiledQuery
from gantry.index.tables import change_feed, dataset, dicom_store
from gantry.index_protocols.deliveries import Delivery
from gantry.names import DicomStoreName

_PLACE = [delivery.c[name] for name in (*Position._fields, "era", "planned", "added")]
_PLANNED = ("planned_key", *(f"end_{name}" for name in Position._fields))
_REVISION = CompiledQuery(select(change_feed.c.era, change_feed.c.receivers))


def _select() -> Select[Any]:
    names = dataset.c.project, dataset.c.location, dataset.c.dataset, dicom_store.c.store
    query = select(*names, delivery.c.store_id, delivery.c.receiver, *_PLACE, *(delivery.c[name] for name in _PLANNED))
    query = query.join(dicom_store, dicom_store.c.id == delivery.c.store_id)
    return query.join(dataset, dataset.c.id == dicom_store.c.dataset_id).where(IS_ALIVE)


_FIND = CompiledQuery(
    _select().where(delivery.c.store_id == bindparam("store_id"), delivery.c.receiver == bindparam("receiver"))
)


class Deliveries(Part):
    """Promises: ``index_protocols.DeliveryIndex``."""

    def get_revision(self) -> str:
        with self.database.read() as connection:
            return " ".join(str(value) for row in _REVISION.fetch(connection, {}) for value in row)

    def list_deliveries(self) -> list[Delivery]:
        query = _select().order_by(delivery.c.store_id, delivery.c.receiver)
        with self.database.read() as connection:
            return [_read(row) for row in connection.execute(query)]

    def find(self, store_id: int, receiver: str) -> Delivery | None:
        with self.database.read() as connection:
            rows = _FIND.fetch(connection, {"store_id": store_id, "receiver": receiver})
        return _read(rows[0]) if rows else None

    def plan(self, delivery: Delivery, count: int, key: str, end: Position) -> bool:
        return self._change(delivery, {"planned": count} | _write_plan(key, end))

    def move(self, delivery: Delivery, position: Position, era: str, added: bool = False) -> bool:
        values = {**position._asdict(), "era": era, "planned": 0, "added": int(delivery.added or added)}
        values |= _write_plan("", Position())
        return self._change(delivery, values)

    def _change(self, known: Delivery, values: dict[str, Any]) -> bool:
        mine = delivery.c.store_id == known.store_id, delivery.c.receiver == known.receiver
        place = (*known.position, known.era, known.planned, int(known.added))
        is_same = [column == value for column, value in zip(_PLACE, place, strict=True)]
        with self.database.write() as connection:
            return connection.execute(update(delivery).where(*mine, *is_same).values(values)).rowcount == 1


def _read(row: Any) -> Delivery:
    place = Position(*row[6:10]), row[10], row[11], bool(row[12])
    return Delivery(DicomStoreName(*row[:4]), row[4], row[5], *place, row[13], Position(*row[14:18]))


def _write_plan(key: str, end: Position) -> dict[str, Any]:
    return dict(zip(_PLANNED, (key, *end), strict=True))


def set_receivers(connection: Connection, store_id: int, receivers: Collection[str]) -> None:
    """Who is told of the changes of a store. One that is new is told of what comes after this transaction."""
    mine = delivery.c.store_id == store_id
    known = set(connection.execute(select(delivery.c.receiver).where(mine)).scalars())
    if known == set(receivers):
        return
    connection.execute(delete(delivery).where(mine, delivery.c.receiver.not_in(receivers)))
    rows = [{"store_id": store_id, "receiver": each} for each in dict.fromkeys(receivers) if each not in known]
    if rows:
        era = connection.execute(select(change_feed.c.era)).scalar() or ""
        place = find_end(connection, store_id)._asdict() | {"era": era}
        connection.execute(insert(delivery), [row | place for row in rows])
    connection.execute(update(change_feed).values(receivers=change_feed.c.receivers + 1))
