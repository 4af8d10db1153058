"""What goes along with a row: terms, texts and modalities of studies, headers of instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select, tuple_, update

from gantry.header_packs import pack, unpack
from gantry.index.insertion import tell_modalities, terms_of
from gantry.index.tables import header_pack, instance, series, study, study_modality, study_term, study_text


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
        entries = unpack(connection.execute(select(header_pack.c.data).where(is_pack)).scalar_one())
        for number in blank:
            entries[number] = b""
        if any(entries):
            connection.execute(update(header_pack).where(is_pack).values(data=pack(entries)))
        else:
            connection.execute(delete(header_pack).where(is_pack))


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
