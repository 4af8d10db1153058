"""Operations that have been kept long enough: hidden at once, removed in bounded transactions."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, func, select, tuple_, update

from gantry.index.clock import from_micros, to_micros
from gantry.index.database import Database, Part
from gantry.index.dialect import greatest, upsert
from gantry.index.operation_rows import NO_DATASET
from gantry.index.repeating import repeated
from gantry.index.tables import failure, operation, progress, selection, trail

_BATCH = 5000  # log entries removed by one transaction


_HASTE = 24
"""How many times faster than the clock of the process the trail may go: a month in which the server was off is made up
for in 30 hours, and a clock that is a month ahead for a minute moves it by 24 minutes."""

_SAVE_MICROS = 600_000_000  # between two writes of the trail


class Retention(Part):
    """Promises: ``index_protocols.RetentionIndex``."""

    def __init__(self, database: Database, steady: Callable[[], float] = time.monotonic) -> None:
        """``steady`` is a clock in seconds that nobody sets."""
        super().__init__(database)
        self._steady = steady
        self._seen = steady()
        self._trail: int | None = None
        self._saved: int | None = None

    def follow_clock(self) -> datetime:
        now, steady = self.database.now(), self._steady()
        saved = self._read_trail()
        if saved is None or self._trail is None or saved != self._saved:
            # Another server has followed the clock until now.
            self._trail, self._seen = self._begin_trail(now) if saved is None else saved, steady
        most = self._trail + round((steady - self._seen) * 1_000_000 * _HASTE)
        self._trail, self._seen = max(self._trail, min(now, most)), steady
        self._saved = saved
        if saved is None or self._trail - saved >= _SAVE_MICROS:
            self._save_trail(self._trail)
            self._saved = self._trail
        return from_micros(min(now, self._trail))

    def _read_trail(self) -> int | None:
        with self.database.read() as connection:
            return connection.execute(select(trail.c.time)).scalar()

    def _begin_trail(self, now: int) -> int:
        """Of an index that has none: not behind its last operation, if it has any."""
        times = greatest(operation.c.create_time, func.coalesce(operation.c.end_time, 0))
        with self.database.read() as connection:
            last = connection.execute(select(times).order_by(operation.c.id.desc()).limit(1)).scalar()
        return now if last is None else min(now, int(last))

    def _save_trail(self, value: int) -> None:
        with self.database.write() as connection:
            new = upsert(trail).values(id=1, time=value)
            connection.execute(new.on_conflict_do_update(index_elements=["id"], set_={"time": value}))

    @repeated
    def expire_operations(self, before: datetime, limit: int = 500) -> int:
        expired = operation.c.end_time < to_micros(before), operation.c.dataset_id != NO_DATASET
        with self.database.read() as connection:
            ids = connection.execute(select(operation.c.id).where(*expired).limit(limit)).scalars().all()
        if ids:
            with self.database.write() as connection:
                connection.execute(update(operation).where(operation.c.id.in_(ids)).values(dataset_id=NO_DATASET))
        return len(ids)

    @repeated
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
