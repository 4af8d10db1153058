"""New instances become rows, with the studies, series, terms and headers that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from gantry.errors import AlreadyExists
from gantry.header_packs import pack, unpack
from gantry.index.lookups import look_up_pairs
from gantry.index.tables import (
    TERMS,
    TEXT_FIELDS,
    header_pack,
    instance,
    series,
    study,
    study_modality,
    study_term,
    study_text,
)
from gantry.index.tally import add_to_tally
from gantry.matching import name_keys, search_key, tokens
from gantry.resources import READER, Description, Instance, SeriesAttributes, StudyAttributes

NO_PACK = -1
_NUMBERS = ("instance_number", "number_of_frames", "rows", "columns", "bits_allocated")
_NO_STUDY, _NO_SERIES = StudyAttributes(), SeriesAttributes()


@dataclass(frozen=True, slots=True)
class Placed:
    """An instance and the numbers of its study and series."""

    study_id: int
    series_id: int
    instance: Instance


def insert_instances(connection: Connection, store_id: int, instances: Sequence[Instance], now: int) -> list[Placed]:
    """New rows with their studies and series. Raises AlreadyExists when one of them is there."""
    studies = _ensure_studies(connection, store_id, instances)
    all_series = _ensure_series(connection, store_id, studies, instances)
    placed = []
    for item in instances:
        study_id = studies[item.study_instance_uid]
        placed.append(Placed(study_id, all_series[study_id, item.series_instance_uid], item))
    packs = insert_packs(connection, placed)
    try:
        connection.execute(insert(instance), [_row(item, packs, now) for item in placed])
    except IntegrityError:
        raise AlreadyExists("an instance of this batch was stored by another operation meanwhile") from None
    _count(connection, placed)
    add_to_tally(connection, store_id, now, ((item.storage_class, 1, item.size) for item in instances))
    return placed


def _row(item: Placed, packs: dict[tuple[int, int], tuple[int, int]], now: int) -> dict[str, Any]:
    new = item.instance
    return columns_of(item, packs) | {
        "series_id": item.series_id,
        "sop_instance_uid": new.sop_instance_uid,
        "sop_class_uid": new.sop_class_uid,
        "transfer_syntax_uid": new.transfer_syntax_uid,
        "blob_key": new.blob_key,
        "size": new.size,
        "storage_class": new.storage_class,
        "storage_class_update_time": now,
        "create_time": now,
    }


def columns_of(item: Placed, packs: dict[tuple[int, int], tuple[int, int]]) -> dict[str, Any]:
    """What a row says of the header of its instance."""
    said = item.instance.description
    pack_id, number = packs.get((item.series_id, id(said)), (None, NO_PACK))
    numbers = {name: said and getattr(said, name) for name in _NUMBERS}
    return numbers | {"structured_size": item.instance.structured_size, "pack_id": pack_id, "pack_number": number}


# --- studies and series


def _ensure_studies(connection: Connection, store_id: int, instances: Sequence[Instance]) -> dict[str, int]:
    """Numbers of the studies by UID, made where they are missing."""
    first: dict[str, Instance] = {}
    for item in instances:
        first.setdefault(item.study_instance_uid, item)
    columns = study.c.store_id, study.c.study_instance_uid, study.c.id
    found = look_up_pairs(connection, study, {(store_id, uid) for uid in first}, *columns)
    missing = sorted(first.keys() - {uid for _, uid in found})
    if missing:
        said = {uid: _study_of(first[uid]) for uid in missing}
        rows = [
            {"store_id": store_id, "study_instance_uid": uid, "described_by": READER} | said[uid]._asdict()
            for uid in missing
        ]
        connection.execute(insert(study), rows)
        new = look_up_pairs(connection, study, {(store_id, uid) for uid in missing}, *columns)
        make_findable(connection, store_id, {new[store_id, uid]: said[uid] for uid in missing})
        found |= new
    return {uid: number for (_, uid), number in found.items()}


def _study_of(item: Instance) -> StudyAttributes:
    return item.description.study if item.description is not None else _NO_STUDY


def make_findable(connection: Connection, store_id: int, studies: dict[int, StudyAttributes]) -> None:
    """Terms and texts of studies that have none."""
    terms = [term for number, said in studies.items() for term in terms_of(store_id, number, said)]
    if terms:
        connection.execute(insert(study_term), terms)
    texts = [
        {"rowid": number} | {field: text_of(field, getattr(said, field)) for field in TEXT_FIELDS}
        for number, said in studies.items()
    ]
    connection.execute(insert(study_text), texts)


def terms_of(store_id: int, study_id: int, said: Any) -> Iterable[dict[str, Any]]:
    """Rows of ``study_term`` for a study with the attributes ``said``."""
    for field, (of_groups, of_words) in TERMS.items():
        name = getattr(said, field)
        for kind, terms in ((of_groups, dict.fromkeys(name_keys(name))), (of_words, tokens(name))):
            for term in terms:
                yield {"store_id": store_id, "kind": kind, "term": term, "study_id": study_id}


def text_of(field: str, value: str) -> str:
    """A field as ``study_text`` has it; component groups of names stand between ``=``."""
    if field in TERMS:
        return f"={'='.join(name_keys(value))}=" if value else ""
    return search_key(value)


def _ensure_series(
    connection: Connection, store_id: int, studies: dict[str, int], instances: Sequence[Instance]
) -> dict[tuple[int, str], int]:
    """Numbers of the series by study and UID, made where they are missing."""
    first: dict[tuple[int, str], Instance] = {}
    for item in instances:
        first.setdefault((studies[item.study_instance_uid], item.series_instance_uid), item)
    columns = series.c.study_id, series.c.series_instance_uid, series.c.id
    found = look_up_pairs(connection, series, first.keys(), *columns)
    missing = sorted(first.keys() - found.keys())
    if missing:
        rows = [
            {"store_id": store_id, "study_id": study_id, "series_instance_uid": uid}
            | _series_of(first[study_id, uid])._asdict()
            for study_id, uid in missing
        ]
        connection.execute(insert(series), rows)
        found |= look_up_pairs(connection, series, set(missing), *columns)
        tell_modalities(connection, {study_id for study_id, _ in missing})
    return found


def _series_of(item: Instance) -> SeriesAttributes:
    return item.description.series if item.description is not None else _NO_SERIES


def tell_modalities(connection: Connection, studies: set[int]) -> None:
    """Bring the modalities of studies up to date, and how many series they have."""
    for study_id in studies:
        query = select(series.c.modality).where(series.c.study_id == study_id)
        every = list(connection.execute(query).scalars())
        present = sorted({word for modality in every for word in modality.split("\\") if word})
        is_study = study.c.id == study_id
        row = connection.execute(select(study.c.store_id, study.c.study_date, study.c.modalities).where(is_study)).one()
        changed = {"series_count": len(every), "modalities": "\\".join(present)}
        connection.execute(update(study).where(is_study).values(changed))
        before = {word for word in row.modalities.split("\\") if word}
        key = {"store_id": row.store_id, "study_date": row.study_date, "study_id": study_id}
        for modality in before - set(present):
            gone = [study_modality.c[name] == value for name, value in (key | {"modality": modality}).items()]
            connection.execute(study_modality.delete().where(*gone))
        if new := [key | {"modality": modality} for modality in present if modality not in before]:
            connection.execute(insert(study_modality), new)


# --- headers


def insert_packs(connection: Connection, placed: Sequence[Placed]) -> dict[tuple[int, int], tuple[int, int]]:
    """For each description, by series and identity, the pack that holds its header, and where in it.

    A pack holds what is stored and nothing else: where instances of a batch were refused, it is made anew.
    """
    users: dict[tuple[int, bytes], list[Description]] = {}
    for item in placed:
        if (said := item.instance.description) is not None and said.pack:
            users.setdefault((item.series_id, said.pack), []).append(said)
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for (series_id, data), said_by in users.items():
        wanted = sorted({said.number for said in said_by})
        if len(wanted) < said_by[0].packed:
            entries = unpack(data)
            data = pack([entries[number] for number in wanted])
        places = {number: place for place, number in enumerate(wanted)}
        row = {"series_id": series_id, "data": data}
        pack_id = connection.execute(insert(header_pack), row).inserted_primary_key
        for said in said_by:
            found[series_id, id(said)] = (pack_id[0] if pack_id else 0, places[said.number])
    return found


# --- counters


def _count(connection: Connection, new: Sequence[Placed]) -> None:
    """Add new instances to the counters of their series and studies."""
    by_series: dict[int, list[int]] = {}
    by_study: dict[int, int] = {}
    for item in new:
        counters = by_series.setdefault(item.series_id, [0, 0, 0])
        counters[0] += 1
        counters[1] += item.instance.size
        counters[2] += item.instance.structured_size
        by_study[item.study_id] = by_study.get(item.study_id, 0) + 1
    columns = series.c.instance_count, series.c.blob_bytes, series.c.structured_bytes
    statement = update(series).where(series.c.id == bindparam("row"))
    statement = statement.values({column: column + bindparam(f"more_{column.name}") for column in columns})
    names = ["row", *(f"more_{column.name}" for column in columns)]
    connection.execute(statement, [dict(zip(names, (row, *more), strict=True)) for row, more in by_series.items()])
    total = study.c.instance_count
    statement = update(study).where(study.c.id == bindparam("row")).values({total: total + bindparam("more")})
    connection.execute(statement, [{"row": row, "more": more} for row, more in by_study.items()])
