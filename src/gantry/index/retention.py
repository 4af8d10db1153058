"""Operations that have been kept long enough: hidden at once, removed in bounded transactions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, tuple_, update

from gantry.index.clock import to_micros
from gantry.index.database import Part
from gantry.index.operation_rows import NO_DATASET
from gantry.index.tables import failure, operation, progress, selection

_BATCH = 5000  # log entries removed by one transaction


class Retention(Part):
    """Promises: ``index_protocols.RetentionIndex``."""

    def expire_operations(self, before: datetime, limit: int = 500) -> int:
        expired = operation.c.end_time < to_micros(before), operation.c.dataset_id != NO_DATASET
        with self.database.read() as connection:
            ids = connection.execute(select(operation.c.id).where(*expired).limit(limit)).scalars().all()
        if ids:
            with self.database.write() as connection:
                connection.execute(update(operation).where(operation.c.id.in_(ids)).values(dataset_id=NO_DATASET))
        return len(ids)

    def purge_operation(self) -> bool:
        hidden = select(operation.c.id).where(operation.c.dataset_id == NO_DATASET).limit(1)
        with self.database.read() as connection:
            found = connection.execute(hidden).scalar()
        if found is None:
            return False
        with self.database.write() as connection:
            for table in (failure, selection, progress):
                victims = select(*table.primary_key).where(table.c.operation_id == found).limit(_BATCH)
                if connection.execute(delete(table).where(tuple_(*table.primary_key).in_(victims))).rowcount:
                    return True
            connection.execute(delete(operation).where(operation.c.id == found))
        return True
