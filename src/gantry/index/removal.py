"""What goes along with a row: terms, texts and modalities of studies, headers of instances."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select, tuple_, update

from gantry.errors import DataLoss
from gantry.header_packs import pack, unpack
from gantry.index.insertion import NO_PACK, tell_modalities, terms_of
from gantry.index.tables import header_pack, instance, series, study, study_modality, study_term, study_text

logger = logging.getLogger(__name__)


def remove_series(connection: Connection, below: tuple[Any, ...]) -> None:
    """Remove series without instances, with their headers. ``below`` are conditions on ``series``."""
    numbers = select(series.c.id).where(*below)
    connection.execute(delete(header_pack).where(header_pack.c.series_id.in_(numbers)))
    connection.execute(delete(series).where(*below))


def settle_study(connection: Connection, study_id: int, gone: int) -> None:
    """After a study has lost ``gone`` instances: its counters and modalities, or its end when it is empty."""
    total = study.c.instance_count
    connection.execute(update(study).where(study.c.id == study_id).values({total: total - gone}))
    if connection.execute(select(series.c.id).where(series.c.study_id == study_id).limit(1)).first() is None:
        remove_study(connection, connection.execute(select(study).where(study.c.id == study_id)).one())
    else:
        tell_modalities(connection, {study_id})


def remove_study(connection: Connection, row: Row[Any]) -> None:
    """A study without series, with everything that finds it."""
    make_unfindable(connection, row)
    connection.execute(delete(study).where(study.c.id == row.id))


def make_unfindable(connection: Connection, row: Row[Any]) -> None:
    """The terms, texts and modalities of a study go."""
    terms = [tuple(term.values()) for term in terms_of(row.store_id, row.id, row)]
    if terms:
        connection.execute(delete(study_term).where(tuple_(*study_term.primary_key.columns).in_(terms)))
    for modality in row.modalities.split("\\"):
        key = (row.store_id, modality, row.study_date, row.id)
        same = [column == value for column, value in zip(study_modality.primary_key.columns, key, strict=True)]
        connection.execute(delete(study_modality).where(*same))
    connection.execute(delete(study_text).where(study_text.c.rowid == row.id))


def blank_headers(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    """Take the headers of instances out of their packs; the others keep their numbers."""
    numbers: dict[int, list[int]] = {}
    for row in rows:
        if row.pack_id is not None:
            numbers.setdefault(row.pack_id, []).append(row.pack_number)
    for pack_id, blank in numbers.items():
        is_pack = header_pack.c.id == pack_id
        row = connection.execute(select(header_pack).where(is_pack)).one()
        try:
            entries = unpack(row.data)
        except DataLoss:
            entries = []
        if max(blank) >= len(entries):
            _give_up(connection, row)
            continue
        for number in blank:
            entries[number] = b""
        if any(entries):
            connection.execute(update(header_pack).where(is_pack).values(data=pack(entries)))
        else:
            connection.execute(delete(header_pack).where(is_pack))


def _give_up(connection: Connection, row: Row[Any]) -> None:
    """A pack that is damaged goes; the headers of those that are in it are read from their files from now on."""
    logger.error("header pack %d is damaged; it is removed, and the headers are read from the files", row.id)
    users = instance.c.series_id == row.series_id, instance.c.pack_id == row.id
    connection.execute(update(instance).where(*users).values(pack_id=None, pack_number=NO_PACK))
    connection.execute(delete(header_pack).where(header_pack.c.id == row.id))


def purge(connection: Connection, store_id: int, limit: int) -> bool:
    """Remove up to ``limit`` rows below a store; True when none is left."""
    in_store = series.c.store_id == store_id
    numbers = select(series.c.id).where(in_store)
    key = tuple_(instance.c.series_id, instance.c.sop_instance_uid)
    victims = select(instance.c.series_id, instance.c.sop_instance_uid).where(instance.c.series_id.in_(numbers))
    if connection.execute(delete(instance).where(key.in_(victims.limit(limit)))).rowcount:
        return False
    packs = select(header_pack.c.id).where(header_pack.c.series_id.in_(numbers)).limit(limit)
    if connection.execute(delete(header_pack).where(header_pack.c.id.in_(packs))).rowcount:
        return False
    if connection.execute(delete(series).where(series.c.id.in_(numbers.limit(limit)))).rowcount:
        return False
    studies = connection.execute(select(study).where(study.c.store_id == store_id).limit(limit)).all()
    for row in studies:
        remove_study(connection, row)
    return not studies
