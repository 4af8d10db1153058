"""Walks along instances in an order that stays: by series, then SOP Instance UID.

A position is the number of a series, a slash and a SOP Instance UID. Pages are read as the caller goes on: what is
stored or deleted meanwhile may be among them or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, Select, bindparam

from gantry.index.database import Database
from gantry.index.lookups import parse_position, select_instances, to_instance
from gantry.index.tables import instance, series, study
from gantry.resources import Instance

PAGE = 1000  # instances per query


def walk_store(database: Database, store_id: int, after: str = "") -> Iterator[tuple[str, Instance]]:
    """All of a store with their positions, those after the position ``after``."""
    for row in _read_store(database, store_id, *parse_position(after)):
        yield f"{row.series_id}/{row.sop_instance_uid}", to_instance(row)


def _read_store(database: Database, store_id: int, series_id: int, uid: str) -> Iterator[Row[Any]]:
    """Page by page: the rest of a series, then the series after it, so that every query starts at a key."""
    # The sum keeps SQLite from starting at the store's studies, which would mean sorting all that follows.
    in_store = select_instances().where(study.c.store_id + 0 == store_id)
    rest = in_store.where(
        instance.c.series_id == bindparam("series_id"), instance.c.sop_instance_uid > bindparam("uid")
    )
    following = in_store.where(series.c.id > bindparam("series_id"))
    rest, following = rest.limit(PAGE), following.limit(PAGE)
    while True:
        for query in (rest, following):
            with database.read() as connection:
                rows = connection.execute(query, {"series_id": series_id, "uid": uid}).all()
            yield from rows
            if rows:
                series_id, uid = rows[-1].series_id, rows[-1].sop_instance_uid
            if len(rows) == PAGE:
                break
        else:
            return


def walk_series(database: Database, query: Select[Any], number: int, after: str) -> Iterator[tuple[str, Instance]]:
    """Those that ``query`` selects of one series, behind the UID ``after``; the query may bind ``series``, too."""
    uid = instance.c.sop_instance_uid
    query = query.where(instance.c.series_id == bindparam("series"), uid > bindparam("after")).limit(PAGE)
    while True:
        with database.read() as connection:
            rows = connection.execute(query, {"series": number, "after": after}).all()
        for row in rows:
            yield f"{number}/{row.sop_instance_uid}", to_instance(row)
        if len(rows) < PAGE:
            return
        after = rows[-1].sop_instance_uid
