"""Writes the change feed: each transaction that changes instances of a store adds what it has changed, as one pack.

Transactions that write come one after the other (``database``, ``postgresql``), so the number of a pack, one more than
the last one of its store, rises in the order of their commits, and none is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Row, bindparam, func, insert, literal_column, select, update

from gantry.events import Action, Event, Kind, Told, pack_events
from gantry.index.dialect import greatest
from gantry.index.statements import Statement
from gantry.index.tables import change_pack, change_start, dicom_store, series, study, trail
from gantry.resources import Uids

_LEFT_OUT = "gantry_without_changes"

PACK = 1000
"""Events in a pack at most: 200 kB before it is compressed."""


class Cause(NamedTuple):
    """Why instances come: the action, and which of them take the place of stored ones, by an update."""

    action: Action = Action.STORE
    replaced: frozenset[Uids] = frozenset()

    def explain(self, uids: Uids | None) -> tuple[Kind, Action]:
        """Of an instance, or of those that take nobody's place."""
        return (Kind.REPLACED, Action.UPDATE) if uids in self.replaced else (Kind.STORED, self.action)


STORED = Cause()


def leave_out(connection: Connection) -> None:
    """Nothing of this transaction is recorded."""
    connection.execution_options(**{_LEFT_OUT: True})


def is_recorded(connection: Connection) -> bool:
    return _LEFT_OUT not in connection.get_execution_options()


def record(connection: Connection, store_id: int, events: Iterable[Told], now: int) -> None:
    """``events`` of one transaction, in their order. They are not looked at where nothing is recorded."""
    if is_recorded(connection):
        packs = [(*[store_id] * 3, now, None, data) for data in _pack(events)]
        _RECORD.run(connection, packs)


def record_deletion(connection: Connection, store_id: int, removed: int, now: int) -> None:
    """All that is below ``removed``, a row of ``dicom_store``, was deleted: see ``record_removed``."""
    if is_recorded(connection):
        _RECORD.run(connection, [(*[store_id] * 3, now, removed, pack_events(()))])


def find_deletion(connection: Connection, removed: int) -> Row[Any] | None:
    """The pack of the deletion that has moved instances below ``removed``, unless all of them are recorded."""
    store_id = select(dicom_store.c.removed_from).where(dicom_store.c.id == removed).scalar_subquery()
    query = select(change_pack).where(change_pack.c.store_id == store_id, change_pack.c.pending == removed)
    return connection.execute(query).one_or_none()


def record_removed(connection: Connection, deletion: Row[Any], rows: Sequence[Any], is_last: bool) -> None:
    """Instances whose rows go after their ``deletion``. They belong to it, whatever was recorded meanwhile."""
    mine = change_pack.c.store_id == deletion.store_id, change_pack.c.number == deletion.number
    last = connection.execute(select(func.max(change_pack.c.part)).where(*mine)).scalar_one()
    packs = enumerate(_pack(_read_removed(connection, rows)), int(last) + 1)
    _ADD_PART.run(connection, [(*deletion[:2], part, deletion.time, data) for part, data in packs])
    if is_last:
        connection.execute(update(change_pack).where(*mine, change_pack.c.part == 0).values(pending=None))


def name_version(pack_id: int | None, pack_number: int | None, blob_key: str) -> str:
    """Of a row: its place in a pack of headers, which is never used again; without one the key of its blob."""
    return blob_key if pack_id is None else f"{pack_id}.{pack_number}"


def tell(row: Any, kind: Kind, action: Action, previous_class: str = "") -> Event:
    """An event of a row of ``lookups.find_rows``."""
    version = name_version(row.pack_id, row.pack_number, row.blob_key)
    where = row.study_instance_uid, row.series_instance_uid, row.modality, row.storage_class
    return Event(kind, action, *where, previous_class, row.sop_instance_uid, version)


def _pack(events: Iterable[Told]) -> list[bytes]:
    every = list(events)
    return [pack_events(every[start : start + PACK]) for start in range(0, len(every), PACK)]


def _read_removed(connection: Connection, rows: Sequence[Any]) -> list[Event]:
    """``rows`` are those of instances alone."""
    numbers = sorted({row.series_id for row in rows})
    columns = series.c.id, study.c.study_instance_uid, series.c.series_instance_uid, series.c.modality
    query = select(*columns).join(study, study.c.id == series.c.study_id).where(series.c.id.in_(numbers))
    said = {row.id: row[1:] for row in connection.execute(query)}
    made = []
    for row in rows:
        version = name_version(row.pack_id, row.pack_number, row.blob_key)
        where = *said[row.series_id], row.storage_class, ""
        made.append(Event(Kind.DELETED, Action.DELETE, *where, row.sop_instance_uid, version))
    return made


def _last(table: Any, column: Any, name: str) -> Any:
    return select(column).where(table.c.store_id == bindparam(name)).scalar_subquery()


_NEXT = func.coalesce(
    _last(change_pack, func.max(change_pack.c.number), "of_packs"),
    _last(change_start, change_start.c.number, "of_start"),
    literal_column("0"),
) + literal_column("1")
_NOT_BEFORE_TRAIL = greatest(
    bindparam("at", type_=BigInteger),
    func.coalesce(select(func.max(trail.c.time)).scalar_subquery(), literal_column("0")),
)
"""What comes while the clock is behind is kept as long as anything else."""

_RECORD = Statement(
    insert(change_pack).values(
        store_id=bindparam("store"),
        number=_NEXT,
        part=literal_column("0"),
        time=_NOT_BEFORE_TRAIL,
        pending=bindparam("below"),
        data=bindparam("pack"),
    ),
    *("store", "of_packs", "of_start", "at", "below", "pack"),
)
_ADD_PART = Statement(
    insert(change_pack).values(
        {name: bindparam(f"its_{name}") for name in ("store_id", "number", "part", "time", "data")}
    ),
    *(f"its_{name}" for name in ("store_id", "number", "part", "time", "data")),
)
