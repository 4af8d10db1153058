"""Rows by pairs of keys, many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, select

from gantry.index.blob_keys import BLOB_KEY, join_segments
from gantry.index.statements import FEW, by_columns
from gantry.index.stored import select_stored
from gantry.index.tables import dicom_store, instance, series, study
from gantry.resources import StoredInstance, Uids

CHUNK = 100  # rows looked up by one query
_ROW = [BLOB_KEY if each is instance.c.blob_key else each for each in instance.columns]
_FIRSTS: Any = bindparam("firsts", expanding=True)
_SECONDS: Any = bindparam("seconds", expanding=True)
_PLACE = itemgetter(*map(StoredInstance._fields.index, ("series_id", "sop_instance_uid")))


def find_stored(connection: Connection, store_id: int, uids: Iterable[Uids]) -> dict[Uids, StoredInstance]:
    """Those of the instances with these UIDs that are stored."""
    places = find_places(connection, store_id, uids)
    columns = instance.c.series_id, instance.c.sop_instance_uid
    rows = select_pairs(connection, select_stored(), places, *columns, pair_of=_PLACE)
    return {item.uids: item for item in map(StoredInstance._make, rows)}


def find_places(connection: Connection, store_id: int, uids: Iterable[Uids]) -> dict[tuple[int, str], Uids]:
    """Number of the series and SOP Instance UID → UIDs, of those whose series exists."""
    uids = list(uids)
    studies = look_up_ids(connection, study, store_id, {each[0] for each in uids})
    wanted = {(studies[each[0]], each[1]) for each in uids if each[0] in studies}
    if not wanted:
        return {}
    numbers = look_up_pairs(connection, wanted, series.c.study_id, series.c.series_instance_uid, series.c.id)
    return {(numbers[pair], each[2]): each for each in uids if (pair := (studies.get(each[0], 0), each[1])) in numbers}


def find_rows(connection: Connection, places: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Row[Any]]:
    """Rows of instances with the numbers of their study and store, their UIDs and their modality, by place; not those
    of what is deleted."""
    above = series.c.study_id, study.c.store_id, study.c.study_instance_uid, series.c.series_instance_uid
    query = select(*_ROW, *above, series.c.modality).join_from(instance, series, series.c.id == instance.c.series_id)
    query = query.join(study, study.c.id == series.c.study_id)
    query = query.join(dicom_store, dicom_store.c.id == study.c.store_id).where(dicom_store.c.deleted.is_(False))
    rows = select_pairs(connection, join_segments(query), places, instance.c.series_id, instance.c.sop_instance_uid)
    return {(row.series_id, row.sop_instance_uid): row for row in rows}


def look_up_ids(connection: Connection, table: Table, store_id: int, uids: set[str]) -> dict[str, int]:
    columns = table.c.store_id, table.c.study_instance_uid, table.c.id
    found = look_up_pairs(connection, [(store_id, uid) for uid in uids], *columns)
    return {uid: row_id for (_, uid), row_id in found.items()}


def look_up_pairs(
    connection: Connection, wanted: Iterable[tuple[Any, Any]], first: Any, second: Any, value: Any
) -> dict[Any, Any]:
    """``value`` of every row whose (first, second) is in ``wanted``, by that pair."""
    wanted = list(wanted)
    if len(wanted) <= FEW:
        one = by_columns(first, second, of=(value,))
        found = one.fetch_each(connection, wanted)
        return {pair: row[0] for pair, rows in zip(wanted, found, strict=True) for row in rows}
    pairs = select_pairs(connection, select(first, second, value), wanted, first, second)
    return {(one, other): found for one, other, found in pairs}


def select_pairs(
    connection: Connection,
    query: Select[Any],
    wanted: Iterable[tuple[Any, Any]],
    first: Any,
    second: Any,
    pair_of: Callable[[Any], tuple[Any, ...]] = itemgetter(0, 1),
) -> Iterator[Any]:
    """Rows of a query where the columns (first, second), which ``pair_of`` a row gives, are in ``wanted``.

    Two INs probe an index on (first, second) once per combination, few in a short sorted chunk; ``(a, b) IN (…)``
    would scan the table in SQLite.
    """
    pairs = sorted(wanted)
    # One statement for all chunks: making it anew for each would take longer than running it.
    query = query.where(first.in_(_FIRSTS), second.in_(_SECONDS))
    for start in range(0, len(pairs), CHUNK):
        chunk = set(pairs[start : start + CHUNK])
        firsts, seconds = ({pair[side] for pair in chunk} for side in (0, 1))
        for row in connection.execute(query, {"firsts": sorted(firsts), "seconds": sorted(seconds)}):
            if pair_of(row) in chunk:
                yield row
