"""Which blobs are to be removed, among them what operations have left (``gantry.rests``)."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from gantry.index.dialect import position
from gantry.index.tables import garbage, operation
from gantry.late_writes import make_late, parse_late
from gantry.rests import Rest, make_rest, parse_rest
from gantry.storage.uris import is_text


def find_garbage(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of a few hundred keys, or of all keys in memory, that the sweeper or an operation will remove."""
    listed = garbage.c.blob_key.in_(list(filter(is_text, keys)))  # others are files of somebody else
    found = set(connection.execute(select(garbage.c.blob_key).where(listed)).scalars())
    places = {key.partition("/")[0] for key in keys}
    rests = [*_list_listed(connection), *_list_uncommitted(connection, places)]
    return found | {key for key in keys if any(rest.holds(key) for rest in rests)}


def find_late(connection: Connection) -> tuple[str, ...]:
    """The prefixes that are searched later: what no row names below them is removed then."""
    keys = connection.execute(select(garbage.c.blob_key).where(garbage.c.blob_key.startswith(make_late("")))).scalars()
    return tuple(prefix for key in keys if (prefix := parse_late(key)) is not None)


def _list_listed(connection: Connection) -> list[Rest]:
    listed = connection.execute(select(garbage.c.blob_key).where(position(garbage.c.blob_key, ">") > 0)).scalars()
    return [rest for key in listed if (rest := parse_rest(key)) is not None]


def _list_uncommitted(connection: Connection, places: Collection[str]) -> list[Rest]:
    columns = operation.c.id, operation.c.store_id, operation.c.blob_prefix
    rows = connection.execute(select(*columns).where(operation.c.end_time.is_(None))).all()
    return [make_rest(place, f"{row.store_id}/{row.id}/", row.blob_prefix) for row in rows for place in places]
