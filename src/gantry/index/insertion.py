"""New instances become rows, with the studies, series, terms and headers that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from gantry.errors import AlreadyExists
from gantry.header_packs import pack, unpack
from gantry.index.blob_keys import BlobPlace, place_blobs
from gantry.index.counting import Delta, change_counts
from gantry.index.lookups import look_up_pairs
from gantry.index.tables import (
    header_pack,
    instance,
    series,
    study,
)
from gantry.index.terms import make_findable, tell_modalities
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
    blobs = place_blobs(connection, store_id, ((item.blob_key, item.size) for item in instances))
    try:
        connection.execute(insert(instance), [_row(item, packs, blobs, now) for item in placed])
    except IntegrityError:
        raise AlreadyExists("an instance of this batch was stored by another operation meanwhile") from None
    change_counts(connection, store_id, (_count(item, blobs[item.instance.blob_key]) for item in placed), now)
    return placed


def _count(item: Placed, blob: BlobPlace) -> Delta:
    new = item.instance
    counts = 1, new.size, new.structured_size, blob.segment_id, blob.end(new.size)
    return Delta(item.study_id, item.series_id, new.storage_class, *counts)


def _row(
    item: Placed, packs: dict[tuple[int, int], tuple[int, int]], blobs: dict[str, BlobPlace], now: int
) -> dict[str, Any]:
    new = item.instance
    return (
        columns_of(item, packs)
        | blobs[new.blob_key]._asdict()
        | {
            "series_id": item.series_id,
            "sop_instance_uid": new.sop_instance_uid,
            "sop_class_uid": new.sop_class_uid,
            "transfer_syntax_uid": new.transfer_syntax_uid,
            "size": new.size,
            "storage_class": new.storage_class,
            "storage_class_update_time": now,
            "create_time": now,
        }
    )


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
    found = look_up_pairs(connection, {(store_id, uid) for uid in first}, *columns)
    missing = sorted(first.keys() - {uid for _, uid in found})
    if missing:
        said = {uid: _study_of(first[uid]) for uid in missing}
        rows = [
            {"store_id": store_id, "study_instance_uid": uid, "described_by": READER} | said[uid]._asdict()
            for uid in missing
        ]
        connection.execute(insert(study), rows)
        new = look_up_pairs(connection, {(store_id, uid) for uid in missing}, *columns)
        make_findable(connection, store_id, {new[store_id, uid]: said[uid] for uid in missing})
        found |= new
    return {uid: number for (_, uid), number in found.items()}


def _study_of(item: Instance) -> StudyAttributes:
    return item.description.study if item.description is not None else _NO_STUDY


def _ensure_series(
    connection: Connection, store_id: int, studies: dict[str, int], instances: Sequence[Instance]
) -> dict[tuple[int, str], int]:
    """Numbers of the series by study and UID, made where they are missing."""
    first: dict[tuple[int, str], Instance] = {}
    for item in instances:
        first.setdefault((studies[item.study_instance_uid], item.series_instance_uid), item)
    columns = series.c.study_id, series.c.series_instance_uid, series.c.id
    found = look_up_pairs(connection, first.keys(), *columns)
    missing = sorted(first.keys() - found.keys())
    if missing:
        rows = [
            {"store_id": store_id, "study_id": study_id, "series_instance_uid": uid}
            | _series_of(first[study_id, uid])._asdict()
            for study_id, uid in missing
        ]
        connection.execute(insert(series), rows)
        found |= look_up_pairs(connection, set(missing), *columns)
        tell_modalities(connection, {study_id for study_id, _ in missing})
    return found


def _series_of(item: Instance) -> SeriesAttributes:
    return item.description.series if item.description is not None else _NO_SERIES


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
