"""New instances become rows, with the studies, series, terms and headers that belong to them.

What a batch needs is looked up, and written, by one statement for all of it: the cost of a statement would be that of
many rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gantry.errors import AlreadyExists
from gantry.events import Told
from gantry.header_packs import pack, unpack
from gantry.index.blob_keys import BlobPlace, expect_segments, place_blobs
from gantry.index.change_packs import STORED, Cause, name_version, record
from gantry.index.counting import Delta, change_counts
from gantry.index.deferred import send
from gantry.index.lookups import look_up_pairs
from gantry.index.refusals import Conflict, is_taken, names_table
from gantry.index.requests import insert_requests
from gantry.index.retelling import columns_said
from gantry.index.statements import Numbering, Rows, inserting
from gantry.index.tables import header_pack, instance, series, study
from gantry.index.terms import join_modalities, make_findable, tell_modalities
from gantry.resources import READER, Description, Instance, SeriesAttributes, StudyAttributes

NO_PACK, SHARED = -1, 0  # instead of the number of a place in a pack; of the series of a pack
_NUMBERS = ("instance_number", "number_of_frames", "rows", "columns", "bits_allocated")
_NO_NUMBERS = (None,) * len(_NUMBERS)
_NO_STUDY, _NO_SERIES = StudyAttributes(), SeriesAttributes()
_PLACE = itemgetter(0, 1)  # of a row: the order of the table
_HEADER = ("structured_size", *_NUMBERS, "pack_id", "pack_number")

_STUDIES = Numbering(
    study, "store_id", "study_instance_uid", *StudyAttributes._fields, "modalities", "series_count", "described_by"
)
_SERIES = Numbering(series, "study_id", "series_instance_uid", "store_id", *SeriesAttributes._fields)
_PACKS = Numbering(header_pack, "series_id", "data")
_COLUMNS = (
    *("series_id", "sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "blob_key", "size", "storage_class"),
    *("storage_class_update_time", "create_time", *_HEADER, "segment_id", "segment_offset"),
)
_INSTANCES = inserting(instance, *_COLUMNS)
_CLASS_AT, _PACK_AT = map(_COLUMNS.index, ("storage_class", "pack_id"))
_Row = tuple[Any, ...]

Packs = dict[tuple[int, int], tuple[int | None, int]]
"""Series and identity of a description → the number of a pack, and the place in it."""


class Placed(NamedTuple):
    """An instance and the numbers of its study and series."""

    study_id: int
    series_id: int
    instance: Instance


class Inserted(NamedTuple):
    """What came with a batch: its instances, and what its new studies and series say, by their numbers."""

    placed: list[Placed]
    studies: dict[int, StudyAttributes]
    series: dict[int, SeriesAttributes]


def insert_instances(
    connection: Connection, store_id: int, instances: Sequence[Instance], now: int, cause: Cause = STORED
) -> Inserted:
    """New rows with their studies and series. Raises AlreadyExists when one of them is there, Conflict where another
    session makes the same study or series."""
    try:
        return _insert_all(connection, store_id, instances, now, cause)
    except IntegrityError as error:  # of a row that was sent together with others
        if is_taken(error) and names_table(error) in (study.name, series.name):
            raise _make_conflict() from None
        raise


def _insert_all(
    connection: Connection, store_id: int, instances: Sequence[Instance], now: int, cause: Cause
) -> Inserted:
    series_of = _series_of(instances)
    _PACKS.expect(connection, len({id(item.description.pack) for item in instances if item.description is not None}))
    expect_segments(connection, (item.blob_key for item in instances))
    studies, new_studies = _ensure_studies(connection, store_id, instances, series_of)
    all_series, new_series = _ensure_series(connection, store_id, studies, series_of)
    grown = {study_id for (study_id, _), number in all_series.items() if number in new_series}
    tell_modalities(connection, grown - new_studies.keys())
    placed = []
    for item in instances:
        study_id = studies[item.study_instance_uid]
        placed.append(Placed(study_id, all_series[study_id, item.series_instance_uid], item))
    packs = insert_packs(connection, placed)
    blobs = place_blobs(connection, store_id, ((item.blob_key, item.size) for item in instances))
    rows = sorted(_rows(placed, packs, blobs, now), key=_PLACE)
    try:
        _INSTANCES.run(connection, rows)
        send(connection)
    except IntegrityError as error:
        if not is_taken(error) or names_table(error) not in ("", instance.name):
            raise
        raise AlreadyExists("an instance of this batch was stored by another operation meanwhile") from None
    change_counts(connection, store_id, (_count(item, blobs[item.instance.blob_key]) for item in placed), now)
    record(connection, store_id, _tell(rows, placed, cause), now)
    return Inserted(placed, new_studies, new_series)


def _count(item: Placed, blob: BlobPlace) -> Delta:
    new = item.instance
    counts = 1, new.size, new.structured_size, blob.segment_id, blob.segment_offset
    return Delta(item.study_id, item.series_id, new.storage_class, *counts)


def _tell(rows: Iterable[_Row], placed: Iterable[Placed], cause: Cause) -> Iterator[Told]:
    """What an import runs for each instance: so it makes no more than it must."""
    every = {(item.series_id, item.instance.sop_instance_uid): item.instance for item in placed}
    last, where, usual = None, ("", "", ""), cause.explain(None)
    for row in rows:
        series_id, uid, storage_class, pack_id = row[0], row[1], row[_CLASS_AT], row[_PACK_AT]
        if series_id != last:
            new = every[row[:2]]
            last, where = series_id, (*new.uids[:2], _said_of_series(new).modality)
        version = name_version(pack_id, row[_PACK_AT + 1], every[row[:2]].blob_key if pack_id is None else "")
        what = cause.explain((*where[:2], uid)) if cause.replaced else usual
        yield (*what, *where, storage_class, "", uid, version)


def _rows(placed: Iterable[Placed], packs: Packs, blobs: dict[str, BlobPlace], now: int) -> Iterable[_Row]:
    for item in placed:
        _, _, uid, sop_class, syntax, key, size, storage_class, _, _ = new = item.instance
        own, segment_id, offset = blobs[key]
        header = _header_of(item.series_id, new, packs)
        yield item.series_id, uid, sop_class, syntax, own, size, storage_class, now, now, *header, segment_id, offset


def columns_of(item: Placed, packs: Packs) -> dict[str, Any]:
    """What a row says of the header of its instance."""
    return dict(zip(_HEADER, _header_of(item.series_id, item.instance, packs), strict=True))


def _header_of(series_id: int, new: Instance, packs: Packs) -> tuple[int | None, ...]:
    said = new.description
    if said is None:
        return (new.uids_size, *_NO_NUMBERS, None, NO_PACK)
    numbers = said.instance_number, said.number_of_frames, said.rows, said.columns, said.bits_allocated
    return (said.size, *numbers, *packs.get((series_id, id(said)), (None, NO_PACK)))


# --- studies and series


def _series_of(instances: Sequence[Instance]) -> dict[str, dict[str, Instance]]:
    """The first instance of each series, by the UIDs of study and series."""
    found: dict[str, dict[str, Instance]] = {}
    for item in instances:
        found.setdefault(item.study_instance_uid, {}).setdefault(item.series_instance_uid, item)
    return found


def _ensure_studies(
    connection: Connection,
    store_id: int,
    instances: Sequence[Instance],
    series_of: dict[str, dict[str, Instance]],
) -> tuple[dict[str, int], dict[int, StudyAttributes]]:
    """Numbers of the studies by UID, made where they are missing; what the new ones say, by their numbers."""
    columns = study.c.store_id, study.c.study_instance_uid, study.c.id
    pairs = look_up_pairs(connection, [(store_id, uid) for uid in series_of], *columns)
    found = {uid: number for (_, uid), number in pairs.items()}
    said: dict[str, StudyAttributes] = {}
    for item in instances:
        if (uid := item.study_instance_uid) not in found and uid not in said:
            said[uid] = item.description.study if item.description is not None else _NO_STUDY
    modalities = {uid: [_said_of_series(item).modality for item in series_of[uid].values()] for uid in said}
    rows = [
        (store_id, uid, *columns_said(said[uid]), join_modalities(modalities[uid]), len(modalities[uid]), READER)
        for uid in sorted(said)
    ]
    if not rows:
        return found, {}
    new = dict(zip(sorted(said), _insert(connection, _STUDIES, rows), strict=True))
    by_number = {new[uid]: said[uid] for uid in new}
    make_findable(connection, store_id, by_number, {new[uid]: join_modalities(modalities[uid]) for uid in new})
    return found | new, by_number


def _ensure_series(
    connection: Connection, store_id: int, studies: dict[str, int], series_of: dict[str, dict[str, Instance]]
) -> tuple[dict[tuple[int, str], int], dict[int, SeriesAttributes]]:
    """Numbers of the series by study and UID, made where they are missing; what the new ones say, by their numbers."""
    first = {(studies[study_uid], uid): item for study_uid, every in series_of.items() for uid, item in every.items()}
    columns = series.c.study_id, series.c.series_instance_uid, series.c.id
    found = look_up_pairs(connection, first.keys(), *columns)
    missing = sorted(first.keys() - found.keys())
    if not missing:
        return found, {}
    rows = [(*key, store_id, *columns_said(_said_of_series(first[key]))) for key in missing]
    new = dict(zip(missing, _insert(connection, _SERIES, rows), strict=True))
    said = {new[key]: _said_of_series(first[key]) for key in missing}
    insert_requests(connection, store_id, {number: each.members for number, each in said.items()})
    return found | new, said


def _insert(connection: Connection, table: Numbering, rows: Rows) -> Sequence[int]:
    """The numbers of the new rows. Raises Conflict where another session has made one of them meanwhile, which is found
    when this is done again."""
    try:
        return table.insert(connection, rows)
    except IntegrityError as error:
        if not is_taken(error):
            raise
        raise _make_conflict() from None


def _make_conflict() -> Conflict:
    return Conflict("another session writes the same study or series to the index", advice="try again")


def _said_of_series(item: Instance) -> SeriesAttributes:
    return item.description.series if item.description is not None else _NO_SERIES


# --- headers


def insert_packs(connection: Connection, placed: Sequence[Placed]) -> Packs:
    """For each description, by series and identity, the pack that holds its header, and where in it.

    A pack holds what is stored and nothing else: where instances of a batch were refused, it is made anew.
    """
    users: dict[tuple[int, bytes], list[tuple[int, Description]]] = {}
    for item in placed:
        if (said := item.instance.description) is not None and said.pack:
            alone = item.series_id if said.packed == 1 else SHARED
            users.setdefault((alone, said.pack), []).append((item.series_id, said))
    rows, places = [], []
    for (_, data), said_by in users.items():
        wanted = sorted({said.number for _, said in said_by})
        if len(wanted) < said_by[0][1].packed:
            entries = unpack(data)
            data = pack([entries[number] for number in wanted])
        all_series = {series_id for series_id, _ in said_by}
        rows.append((all_series.pop() if len(all_series) == 1 else SHARED, data))
        places.append({number: place for place, number in enumerate(wanted)})
    numbers = _PACKS.insert(connection, rows)
    return {
        (series_id, id(said)): (number, place[said.number])
        for said_by, number, place in zip(users.values(), numbers, places, strict=True)
        for series_id, said in said_by
    }
