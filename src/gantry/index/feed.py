"""Reads the change feed, and removes what is old. ``change_packs`` writes it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, literal, select, tuple_, update

from gantry.errors import DataLoss, OutOfRange
from gantry.events import BEGIN_ANEW, Event, FeedTotals, Page, Position, checksum, unpack_events
from gantry.index.clock import from_micros, to_micros
from gantry.index.database import Database, Part
from gantry.index.dialect import upsert
from gantry.index.repeating import repeated
from gantry.index.statements import CompiledQuery
from gantry.index.tables import change_feed, change_pack, change_start, dicom_store

_READ = 50  # packs read by one query: each has some kB
_PIECE = 500  # packs removed by one transaction
_STORES = 500  # asked for by one query: ten thousand have topics, perhaps, and are looked at each second
_LAST_PART = (1 << 31) - 1


class _Pack(NamedTuple):
    """The columns of ``change_pack``."""

    store_id: int
    number: int
    part: int
    time: int
    pending: int | None
    data: bytes

    @property
    def checksum(self) -> int:
        return checksum(self.time, self.data)


class _Start(NamedTuple):
    """The last pack of a store that is not kept; all zero where none was lost."""

    number: int = 0
    part: int = 0
    checksum: int = 0


class Feed(Part):
    """Promises: ``index_protocols.FeedIndex``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.records_changes = bool(self.get_era())

    @repeated
    def begin(self, is_on: bool) -> None:
        if is_on != bool(self.get_era()):
            with self.database.write() as connection:
                _lose_all(connection)
                era = {"era": secrets.token_hex(8) if is_on else ""}
                row = upsert(change_feed).values(id=1, **era)
                connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=era))
        self.database.records_changes = is_on

    def get_era(self) -> str:
        with self.database.read() as connection:
            return str(connection.execute(select(change_feed.c.era)).scalar() or "")

    def read(self, store_id: int, position: Position | None, limit: int) -> Page:
        with self.database.read() as connection:
            # In this order: what comes later, or goes, is noticed by what is read after it.
            news = _find_news(connection, store_id)
            begin = last = position if position is not None else _to_position(_find_start(connection, store_id))
            events: list[tuple[datetime, Event]] = []
            for pack in _walk(connection, store_id, last, news[1]):
                try:
                    found, moment = _unpack(pack), from_micros(pack.time)
                except DataLoss:
                    if last == begin:
                        raise
                    break  # who goes on behind what is whole comes to it
                skipped = last.offset if (pack.number, pack.part) == last[:2] else 0
                taken = found[skipped : skipped + limit - len(events)]
                events += [(moment, each) for each in taken]
                read = skipped + len(taken)
                last = Position(pack.number, pack.part, read % len(found) if found else 0, pack.checksum)
                if len(events) == limit:
                    break
            if position is not None:
                _require_kept(connection, store_id, position)
        return Page(events, last, news, begin)

    def pass_damaged(self, store_id: int, position: Position) -> Position | None:
        with self.database.read() as connection:
            _require_kept(connection, store_id, position)
            pack = next(_walk(connection, store_id, position, _find_news(connection, store_id)[1]), None)
        if pack is None:
            return None
        try:
            _unpack(pack)
        except DataLoss:
            return Position(pack.number, pack.part, 0, pack.checksum)
        return None

    def find_start(self, store_id: int) -> Position:
        with self.database.read() as connection:
            return _to_position(_find_start(connection, store_id))

    def find_end(self, store_id: int) -> Position:
        with self.database.read() as connection:
            return find_end(connection, store_id)

    def find_news(self, store_ids: Collection[int]) -> dict[int, tuple[int, int]]:
        found, every = dict.fromkeys(store_ids, (0, 0)), [*store_ids]
        with self.database.read() as connection:
            for start in range(0, len(every), _STORES):
                rows = _NEWS_OF_MANY.fetch(connection, {"stores": every[start : start + _STORES]})
                found |= {store_id: (number or 0, pending or 0) for store_id, number, pending in rows}
        return found

    @repeated
    def expire(self, before: datetime | None, limit: int = _PIECE) -> bool:
        moment = None if before is None else to_micros(before)
        with self.database.read() as connection:
            stores = connection.execute(select(dicom_store.c.id).where(dicom_store.c.deleted.is_(False))).scalars()
            now = self.database.now()
            expired = next((each for each in stores if _list_expired(connection, each, moment, now, 1)), None)
        if expired is not None:
            with self.database.write() as connection:
                _remove(connection, expired, _list_expired(connection, expired, moment, now, limit))
        return expired is None

    def count(self) -> FeedTotals:
        with self.database.read() as connection:
            packs, oldest = connection.execute(_TOTALS).one()
        age = 0.0 if oldest is None else max(0.0, (self.database.now() - oldest) / 1_000_000)
        return FeedTotals(int(packs or 0), age)


def find_end(connection: Connection, store_id: int) -> Position:
    """The position after all that has happened."""
    last, start = _find_last(connection, store_id), _find_start(connection, store_id)
    if last is None or (last.number, last.part) <= start[:2]:
        return _to_position(start)
    return Position(last.number, last.part, 0, last.checksum)


def _walk(connection: Connection, store_id: int, after: Position, pending: int) -> Iterator[_Pack]:
    """Packs behind a position, the one that it is in included; up to the first deletion that is not wholly told."""
    number, part = after.number, after.part - bool(after.offset)
    while True:
        packs = _list_packs(connection, store_id, number, part, _READ)
        for pack in packs:
            if pending and pack.number > pending:
                return
            if pack.pending is not None:
                pending = pack.number
            yield pack
        if len(packs) < _READ:
            return
        number, part = packs[-1].number, packs[-1].part


def _list_packs(connection: Connection, store_id: int, number: int, part: int, most: int) -> list[_Pack]:
    values = {"store": store_id, "number": number, "part": part, "most": most}
    return list(map(_Pack._make, _PACKS.fetch(connection, values)))


def _find_last(connection: Connection, store_id: int) -> _Pack | None:
    return next(map(_Pack._make, _LAST.fetch(connection, {"store": store_id})), None)


def _unpack(pack: _Pack) -> list[Event]:
    """Raises DataLoss."""
    try:
        return unpack_events(pack.data)
    except DataLoss as error:
        raise DataLoss(error.what, advice=BEGIN_ANEW) from None


def _find_news(connection: Connection, store_id: int) -> tuple[int, int]:
    """The number of the last transaction, and of the first deletion that is not wholly told; 0 for none."""
    ((number, pending),) = _NEWS.fetch(connection, {"store": store_id})
    return number or 0, pending or 0


def _find_start(connection: Connection, store_id: int) -> _Start:
    return next(map(_Start._make, _START.fetch(connection, {"store": store_id})), _Start())


def _to_position(start: _Start) -> Position:
    return Position(start.number, start.part, 0, start.checksum)


def _require_kept(connection: Connection, store_id: int, position: Position) -> None:
    """Raises OutOfRange where something that came after the position is lost, or it is not one of this index."""
    start, place = _find_start(connection, store_id), position[:2]
    if place < start[:2] or (place == start[:2] and position.offset):
        raise OutOfRange("the changes after this token are not kept any more", advice=BEGIN_ANEW)
    pack = next(iter(_list_packs(connection, store_id, place[0], place[1] - 1, 1)), None)
    is_there = pack is not None and (pack.number, pack.part) == place
    found = pack.checksum if pack is not None and is_there else start.checksum if place == start[:2] else None
    if found != position.check:
        raise OutOfRange(
            "this token is of changes that the index does not have: an older index was put back since, or it is "
            "another one",
            advice=BEGIN_ANEW,
        )


# --- what is lost


def _lose_all(connection: Connection) -> None:
    """Nothing that was recorded until now is told any more."""
    connection.execute(update(change_pack).where(change_pack.c.pending.is_not(None)).values(pending=None))
    for store_id in connection.execute(select(dicom_store.c.id)).scalars().all():
        if (last := _find_last(connection, store_id)) is not None:
            _set_start(connection, store_id, _Start(last.number, _LAST_PART, secrets.randbits(32)))


def _list_expired(connection: Connection, store_id: int, moment: int | None, now: int, limit: int) -> list[_Pack]:
    """The first packs of a store that are of a time before, or lost already; without gaps."""
    start, found, later = _find_start(connection, store_id), [], None
    for pack in _list_packs(connection, store_id, 0, -1, limit):
        time = pack.time
        if time <= now:
            later = None
        elif moment is not None:  # the clock was ahead: it is older than what came when it was right
            time = later = _find_time_after(connection, pack, now) if later is None else later
        is_old = moment is not None and time < moment and pack.pending is None
        if not is_old and (pack.number, pack.part) > start[:2]:
            break
        found.append(pack)
    return found


def _find_time_after(connection: Connection, pack: _Pack, now: int) -> int:
    """That of the first pack behind one that is not of a time to come; ``now`` where there is none."""
    mine = change_pack.c.store_id == pack.store_id, tuple_(*_ORDER) > tuple_(literal(pack.number), literal(pack.part))
    query = select(change_pack.c.time).where(*mine, change_pack.c.time <= now).order_by(*_ORDER).limit(1)
    return int(connection.execute(query).scalar() or now)


def _remove(connection: Connection, store_id: int, packs: list[_Pack]) -> None:
    """The first packs of a store."""
    if not packs:
        return
    last = packs[-1]
    gone = tuple_(*_ORDER) <= tuple_(literal(last.number), literal(last.part))
    connection.execute(delete(change_pack).where(change_pack.c.store_id == store_id, gone))
    if (last.number, last.part) > _find_start(connection, store_id)[:2]:
        _set_start(connection, store_id, _Start(last.number, last.part, last.checksum))


def _set_start(connection: Connection, store_id: int, start: _Start) -> None:
    row = upsert(change_start).values(store_id=store_id, **start._asdict())
    connection.execute(row.on_conflict_do_update(index_elements=["store_id"], set_=start._asdict()))


_OF_STORE = change_pack.c.store_id == bindparam("store")
_ORDER = change_pack.c.number, change_pack.c.part
_COLUMNS = [change_pack.c[name] for name in _Pack._fields]
_PACKS = CompiledQuery(
    select(*_COLUMNS)
    .where(_OF_STORE, tuple_(*_ORDER) > tuple_(bindparam("number"), bindparam("part")))
    .order_by(*_ORDER)
    .limit(bindparam("most"))
)
_LAST = CompiledQuery(select(*_COLUMNS).where(_OF_STORE).order_by(*(each.desc() for each in _ORDER)).limit(1))
_START = CompiledQuery(
    select(*(change_start.c[name] for name in _Start._fields)).where(change_start.c.store_id == bindparam("store"))
)
_IS_PENDING = change_pack.c.pending.is_not(None)
_NEWS = CompiledQuery(
    select(
        select(func.max(change_pack.c.number)).where(_OF_STORE).scalar_subquery(),
        select(func.min(change_pack.c.number)).where(_OF_STORE, _IS_PENDING).scalar_subquery(),
    )
)
_MINE = change_pack.c.store_id == dicom_store.c.id
_NEWS_OF_MANY = CompiledQuery(
    select(
        dicom_store.c.id,
        select(func.max(change_pack.c.number)).where(_MINE).scalar_subquery(),
        select(func.min(change_pack.c.number)).where(_MINE, _IS_PENDING).scalar_subquery(),
    ).where(dicom_store.c.id.in_(bindparam("stores", expanding=True)))
)
_LOST = select(change_start.c.number).where(change_start.c.store_id == dicom_store.c.id).scalar_subquery()
_LAST_NUMBER = select(func.max(change_pack.c.number)).where(_MINE).scalar_subquery()
_TOTALS = select(
    func.sum(_LAST_NUMBER - func.coalesce(_LOST, 0)),
    func.min(select(change_pack.c.time).where(_MINE).order_by(*_ORDER).limit(1).scalar_subquery()),
).where(dicom_store.c.deleted.is_(False))
