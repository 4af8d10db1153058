"""How far messages about changes have been sent: a row for each topic of each DICOM store."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, select, update

from gantry.events import Position
from gantry.index.database import Part
from gantry.index.feed import find_end
from gantry.index.resource_rows import IS_ALIVE
from gantry.index.tables import dataset, delivery, dicom_store
from gantry.index_protocols.deliveries import Delivery
from gantry.names import DicomStoreName

_PLACE = [delivery.c[name] for name in Position._fields]


class Deliveries(Part):
    """Promises: ``index_protocols.DeliveryIndex``."""

    def list_deliveries(self) -> list[Delivery]:
        names = dataset.c.project, dataset.c.location, dataset.c.dataset, dicom_store.c.store
        query = (
            select(*names, delivery.c.store_id, delivery.c.topic, *_PLACE)
            .join(dicom_store, dicom_store.c.id == delivery.c.store_id)
            .join(dataset, dataset.c.id == dicom_store.c.dataset_id)
            .where(IS_ALIVE)
            .order_by(delivery.c.store_id, delivery.c.topic)
        )
        with self.database.read() as connection:
            return [_read(row) for row in connection.execute(query)]

    def move(self, store_id: int, topic: str, old: Position, new: Position) -> bool:
        is_old = and_(*(column == value for column, value in zip(_PLACE, old, strict=True)))
        mine = delivery.c.store_id == store_id, delivery.c.topic == topic
        with self.database.write() as connection:
            changed = connection.execute(update(delivery).where(*mine, is_old).values(new._asdict()))
            return changed.rowcount == 1


def _read(row: Row[Any]) -> Delivery:
    return Delivery(
        DicomStoreName(row.project, row.location, row.dataset, row.store), row.store_id, row.topic, Position(*row[6:])
    )


def set_topics(connection: Connection, store_id: int, topics: Collection[str]) -> None:
    """The topics of a store from now on. One that is new gets messages about what comes after this transaction."""
    mine = delivery.c.store_id == store_id
    known = set(connection.execute(select(delivery.c.topic).where(mine)).scalars())
    connection.execute(delete(delivery).where(mine, delivery.c.topic.not_in(topics)))
    rows = [{"store_id": store_id, "topic": each} for each in dict.fromkeys(topics) if each not in known]
    if rows:
        place = find_end(connection, store_id)._asdict()
        connection.execute(insert(delivery), [row | place for row in rows])
