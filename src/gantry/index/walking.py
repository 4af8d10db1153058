"""Walks along stored instances, in one of two orders.

By the number of the series, then SOP Instance UID: the order of operations. It does not change while instances are
stored, and ``StoredInstance.position`` says where a walk continues. By Series, then SOP Instance UID: the order of
answers. Pages are read as the caller proceeds: an instance that is stored or deleted meanwhile may be included or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam

from gantry.index.database import Database
from gantry.index.dialect import without_index
from gantry.index.statements import CompiledQuery
from gantry.index.stored import select_stored
from gantry.index.tables import instance, series, study
from gantry.resources import StoredInstance

PAGE = 1000  # instances per query: memory for a page is about 1 MB

_NUMBER, _UID = series.c.id, instance.c.sop_instance_uid
_AFTER_NUMBER: Any = bindparam("after_number")
_AFTER_SERIES: Any = bindparam("after_series")
_AFTER: Any = bindparam("after")


def parse_position(text: str) -> tuple[int, str]:
    """Number of the series and SOP Instance UID of a ``StoredInstance.position``; of "", what is before all."""
    series_id, _, uid = text.partition("/")
    return int(series_id or 0), uid


def read_page(connection: Connection, query: CompiledQuery, values: dict[str, Any]) -> list[StoredInstance]:
    """``query`` binds ``page``, the number of rows."""
    return list(map(StoredInstance._make, query.fetch(connection, values | {"page": PAGE})))


def read_pages(
    database: Database, queries: Sequence[CompiledQuery], values: dict[str, Any]
) -> Iterator[StoredInstance]:
    """All pages behind the instance that ``values`` names as ``after_number``, ``after_series`` and ``after``.

    What the first of ``queries`` finds comes first, then what the next one finds behind it.
    """
    while True:
        for query in queries:
            with database.read() as connection:
                page = read_page(connection, query, values)
            yield from page
            if page:
                values = values | _bind_last(page[-1])
            if len(page) == PAGE:
                break
        else:
            return


def _bind_last(last: StoredInstance) -> dict[str, Any]:
    """What a query binds to continue behind an instance."""
    return {
        "after_number": last.series_id,
        "after_series": last.series_instance_uid,
        "after": last.sop_instance_uid,
    }


# --- by the number of the series


def walk_store(database: Database, store_id: int, position: str = "") -> Iterator[StoredInstance]:
    """All of a store behind ``position``."""
    number, uid = parse_position(position)
    return read_pages(database, (_REST, _FOLLOWING), {"store": store_id, "after_number": number, "after": uid})


def in_series(*conditions: Any) -> CompiledQuery:
    """The instances of the series with the number ``after_number``; ``conditions`` on rows of the join."""
    query = select_stored().where(instance.c.series_id == _AFTER_NUMBER, _UID > _AFTER, *conditions)
    return CompiledQuery(query.order_by(_UID).limit(bindparam("page")))


def walk_series(
    database: Database, query: CompiledQuery, number: int, position: str, **values: Any
) -> Iterator[StoredInstance]:
    """What ``query``, made by ``in_series``, finds in one series, behind ``position`` where that is in it."""
    last, uid = parse_position(position)
    values |= {"after_number": number, "after": uid if number == last else ""}
    return read_pages(database, (query,), values)


# This keeps SQLite from starting at the store's studies, which would mean sorting all that follows.
IN_STORE = without_index(study.c.store_id) == bindparam("store")

# Two queries, so that each starts at a key: the rest of a series, then the series after it.
_REST = in_series(IN_STORE)
_FOLLOWING = CompiledQuery(
    select_stored().where(IN_STORE, _NUMBER > _AFTER_NUMBER).order_by(_NUMBER, _UID).limit(bindparam("page"))
)


# --- by the UID of the series


def name_path(query: Select[Any], depth: int) -> Select[Any]:
    """Rows of ``query``, which joins as ``select_stored`` does, that a path of so many UIDs names.

    It binds ``store``, ``study``, ``series`` and ``instance``.
    """
    query = query.where(study.c.store_id == bindparam("store"), study.c.study_instance_uid == bindparam("study"))
    if depth > 1:
        query = query.where(series.c.series_instance_uid == bindparam("series"))
    if depth > 2:
        query = query.where(bindparam("instance") == _UID)
    return query


def _below(depth: int) -> Select[Any]:
    query = name_path(select_stored(), depth)
    return query.order_by(series.c.series_instance_uid, _UID).limit(bindparam("page"))


def _below_after(depth: int) -> Select[Any]:
    """The rest of a series and the series behind it."""
    uid = series.c.series_instance_uid
    rest = (uid == _AFTER_SERIES) & (_UID > _AFTER)
    return _below(depth).where(uid >= _AFTER_SERIES, rest | (uid > _AFTER_SERIES))


def read_below(connection: Connection, depth: int, values: dict[str, Any]) -> list[StoredInstance]:
    """The first page of what a path names; ``values`` are those of ``name_path``."""
    return read_page(connection, _FIRST[depth], values)


def walk_below(
    database: Database, depth: int, values: dict[str, Any], first: list[StoredInstance]
) -> Iterator[StoredInstance]:
    """All of what a path names, whose first page was read."""
    yield from first
    if len(first) == PAGE:
        yield from read_pages(database, (_NEXT[depth],), values | _bind_last(first[-1]))


_FIRST = {depth: CompiledQuery(_below(depth)) for depth in (1, 2, 3)}
_NEXT = {depth: CompiledQuery(_below_after(depth)) for depth in (1, 2, 3)}
