"""What goes along with a row: terms, texts and modalities of studies, headers of instances."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from gantry.errors import DataLoss
from gantry.header_packs import pack, unpack
from gantry.index.counting import Delta, change_counts, discard_blobs
from gantry.index.insertion import NO_PACK, SHARED
from gantry.index.lookups import CHUNK
from gantry.index.tables import (
    header_pack,
    instance,
    series,
    series_request,
    series_tally,
    study,
)
from gantry.index.terms import make_unfindable, tell_modalities

logger = logging.getLogger(__name__)


def remove_instances(connection: Connection, store_id: int, rows: Sequence[Row[Any]], now: int) -> None:
    """Remove instances of a store, with the series and studies that are empty then. ``rows``: of ``find_rows``."""
    take_out(connection, store_id, rows, now)
    for start in range(0, len(emptied := sorted({row.series_id for row in rows})), CHUNK):
        chunk = emptied[start : start + CHUNK]
        remove_series(connection, (series.c.id.in_(chunk), series.c.instance_count == 0))
    for study_id in sorted({row.study_id for row in rows}):
        settle_study(connection, study_id)


def take_out(connection: Connection, store_id: int, rows: Sequence[Row[Any]], now: int) -> None:
    """The same, but leave series and studies that are empty then."""
    discard_blobs(connection, (row.blob_key for row in rows))
    blank_headers(connection, rows)
    keys = [{"at_series": row.series_id, "at_uid": row.sop_instance_uid} for row in rows]
    mine = instance.c.series_id == bindparam("at_series"), instance.c.sop_instance_uid == bindparam("at_uid")
    connection.execute(delete(instance).where(*mine), keys)
    change_counts(connection, store_id, map(_count, rows), now)


def _count(row: Row[Any]) -> Delta:
    return Delta(row.study_id, row.series_id, row.storage_class, -1, -row.size, -row.structured_size, row.segment_id)


def remove_series(connection: Connection, below: tuple[Any, ...]) -> None:
    """Remove series without instances, with their headers. ``below`` are conditions on ``series``."""
    numbers = select(series.c.id).where(*below)
    for table in (header_pack, series_tally, series_request):
        connection.execute(delete(table).where(table.c.series_id.in_(numbers)))
    connection.execute(delete(series).where(*below))


def settle_study(connection: Connection, study_id: int) -> None:
    """After a study has lost instances or series: its modalities, or its end when it is empty."""
    if connection.execute(select(series.c.id).where(series.c.study_id == study_id).limit(1)).first() is None:
        remove_study(connection, connection.execute(select(study).where(study.c.id == study_id)).one())
    else:
        tell_modalities(connection, {study_id})


def remove_study(connection: Connection, row: Row[Any]) -> None:
    """A study without series, with everything that finds it."""
    make_unfindable(connection, row)
    connection.execute(delete(study).where(study.c.id == row.id))


def blank_headers(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    """Take the headers of instances out of their packs; the others keep their numbers."""
    numbers: dict[int, list[int]] = {}
    for row in rows:
        if row.pack_id is not None:
            numbers.setdefault(row.pack_id, []).append(row.pack_number)
    for pack_id, blank in numbers.items():
        is_pack = header_pack.c.id == pack_id
        found = connection.execute(select(header_pack).where(is_pack)).one_or_none()
        if found is None:  # lost: there is nothing left in it
            continue
        try:
            entries = unpack(found.data)
        except DataLoss:
            entries = []
        if max(blank) >= len(entries):
            _give_up(connection, found)
            continue
        for number in blank:
            entries[number] = b""
        if any(entries):
            connection.execute(update(header_pack).where(is_pack).values(data=pack(entries)))
        else:
            connection.execute(delete(header_pack).where(is_pack))


def blank_shared_headers(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    """The same for those in packs of several series, which do not go with one of them."""
    wanted = sorted({row.pack_id for row in rows if row.pack_id is not None})
    shared: set[int] = set()
    for start in range(0, len(wanted), CHUNK):
        chunk = header_pack.c.id.in_(wanted[start : start + CHUNK])
        query = select(header_pack.c.id).where(chunk, header_pack.c.series_id == SHARED)
        shared |= set(connection.execute(query).scalars())
    blank_headers(connection, [row for row in rows if row.pack_id in shared])


def _give_up(connection: Connection, row: Row[Any]) -> None:
    """A pack that is damaged goes; the headers of those that are in it are read from their files from now on.

    Who else uses one of several series is not known: it stays for them, without anything in it.
    """
    logger.error("header pack %d is damaged; it is removed, and the headers are read from the files", row.id)
    if row.series_id == SHARED:
        connection.execute(update(header_pack).where(header_pack.c.id == row.id).values(data=b""))
        return
    users = instance.c.series_id == row.series_id, instance.c.pack_id == row.id
    connection.execute(update(instance).where(*users).values(pack_id=None, pack_number=NO_PACK))
    connection.execute(delete(header_pack).where(header_pack.c.id == row.id))
