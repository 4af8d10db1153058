"""Headers for the rows of an older Gantry, which kept none."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from gantry.errors import NotFound
from gantry.index.contents import find
from gantry.index.database import Database
from gantry.index.filling import fill_rows
from gantry.index.insertion import NO_PACK, Placed, columns_of, insert_packs
from gantry.index.instances import _to_instance, _walk_query
from gantry.index.tables import instance, series, study
from gantry.names import ResourcePath
from gantry.resources import Instance


class Backfill(Database):
    def undescribed(self, limit: int) -> list[tuple[int, Instance]]:
        """Instances whose header nobody has looked at yet, with the numbers of their stores."""
        query = _walk_query().add_columns(study.c.store_id).where(instance.c.pack_number.is_(None)).limit(limit)
        with self._read() as connection:
            return [(row.store_id, _to_instance(row)) for row in connection.execute(query)]

    def describe(self, store_id: int, instances: Sequence[Instance]) -> None:
        """Write down what their headers say; nothing of those that are gone, or have no description."""
        with self._write() as connection:
            placed = [item for each in instances if (item := _place(connection, store_id, each)) is not None]
            packs = insert_packs(connection, placed)
            for item in placed:
                _update(connection, item, packs)
            fill_rows(connection, placed)


def _place(connection: Connection, store_id: int, item: Instance) -> Placed | None:
    try:
        study_id, series_id = find(connection, store_id, ResourcePath(*item.uids))
    except NotFound:
        return None
    return Placed(study_id, series_id, item)


def _update(connection: Connection, item: Placed, packs: dict[tuple[int, int], tuple[int, int]]) -> None:
    new, said = item.instance, item.instance.description
    row = (instance.c.series_id == item.series_id) & (instance.c.sop_instance_uid == new.sop_instance_uid)
    if said is None:
        connection.execute(update(instance).where(row).values(pack_number=NO_PACK))
        return
    before = connection.execute(select(instance.c.structured_size).where(row)).scalar_one()
    connection.execute(update(instance).where(row).values(columns_of(item, packs)))
    total = series.c.structured_bytes
    grown = update(series).where(series.c.id == item.series_id).values({total: total + new.structured_size - before})
    connection.execute(grown)
