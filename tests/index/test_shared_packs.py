"""Headers of small studies that came together are in one pack; each study comes and goes as if it were alone."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from gantry.describing import describe
from gantry.dicom.header_bytes import HeaderBytes
from gantry.header_packs import FEW_ITEMS, PACK_ITEMS, SHARED_ITEMS, unpack
from gantry.index.sql import SqlIndex
from gantry.index.tables import header_pack
from gantry.ingest import identify
from gantry.names import ResourcePath
from gantry.resources import DicomStore, Instance, Method, StoredInstance
from tests.index.audit import audit, audit_orphans
from tests.index.values import STORE
from tests.support.dicom import make_instance


class _Object:
    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


def made(study: int, number: int = 0, series: int = 0) -> _Object:
    uid = f"1.2.{study}"
    return _Object(make_instance(uid, f"{uid}.{series}", f"{uid}.{series}.{number}", patient_id=f"Patient {study}"))


def described(*every: _Object) -> list[Instance]:
    found = describe(
        [identify(each, f"k/{number}", each.size, "STANDARD", "x") for number, each in enumerate(every)]  # type: ignore[arg-type]
    )
    assert all(isinstance(each, Instance) for each in found)
    return [each for each in found if isinstance(each, Instance)]


def header_of(index: SqlIndex, row: StoredInstance) -> bytes:
    assert row.pack_id is not None and row.pack_number is not None
    return unpack(index.instances.get_header_packs([row.pack_id])[row.pack_id])[row.pack_number]


def rows(index: SqlIndex, store: DicomStore) -> list[StoredInstance]:
    return list(index.instances.walk_store(store.id))


def packs(index: SqlIndex) -> dict[int, list[bytes]]:
    with index.database.read() as connection:
        return {row.id: unpack(row.data) for row in connection.execute(select(header_pack))}


def check(index: SqlIndex) -> None:
    with index.database.read() as connection:
        audit(connection)
        audit_orphans(connection)


def test_small_studies_share_packs_and_large_series_have_their_own(index: SqlIndex, store: DicomStore) -> None:
    small = [made(study) for study in range(SHARED_ITEMS + 5)]
    large = [made(1000, number) for number in range(FEW_ITEMS + 1)]
    index.uploads.store_instances(store.id, described(*small[:10], *large, *small[10:]))
    check(index)
    assert sorted(map(len, packs(index).values())) == sorted([SHARED_ITEMS, 5, len(large)])
    assert len(large) < PACK_ITEMS
    for row in rows(index, store):
        header = HeaderBytes.from_bytes(header_of(index, row))
        assert row.sop_instance_uid.encode() in header.body


def test_instances_of_a_study_stay_in_the_order_in_which_they_came(index: SqlIndex, store: DicomStore) -> None:
    """Whichever series they are in: the first one says what the study is."""
    every = [made(study, number, series) for number in range(3) for study in range(9) for series in (1, 0)]
    new = described(*every)
    index.uploads.store_instances(store.id, new)
    found = sorted((row for row in rows(index, store) if row.study_instance_uid == "1.2.7"), key=lambda row: row.order)
    assert [row.uids for row in found] == [each.uids for each in new if each.study_instance_uid == "1.2.7"]


@pytest.mark.parametrize("how", ["instance", "study", "store"])
def test_what_is_deleted_leaves_nothing_in_a_pack(index: SqlIndex, store: DicomStore, how: str) -> None:
    index.uploads.store_instances(store.id, described(*(made(study) for study in range(4))))
    gone = ResourcePath("1.2.2", "1.2.2.0", "1.2.2.0.0")
    if how == "instance":
        index.deletion.delete_instance(STORE, gone)
    elif how == "study":
        index.deletion.delete_below(STORE, ResourcePath("1.2.2"), "v1", Method.DELETE_STUDY)
        while not index.garbage.purge_removed():
            pass
    else:
        index.resources.delete_dicom_store(STORE)
        while not index.garbage.purge_store(store.id, 1):
            check(index)
        assert packs(index) == {}
        return
    check(index)
    (entries,) = packs(index).values()
    assert not any(b"Patient 2" in entry for entry in entries)
    assert all(f"Patient {row.study_instance_uid[-1]}".encode() in header_of(index, row) for row in rows(index, store))


def test_the_last_one_takes_the_pack_with_it(index: SqlIndex, store: DicomStore) -> None:
    index.uploads.store_instances(store.id, described(*(made(study) for study in range(4))))
    for row in rows(index, store):
        index.deletion.delete_below(STORE, ResourcePath(row.study_instance_uid), "v1", Method.DELETE_STUDY)
        while not index.garbage.purge_removed():
            check(index)
    assert packs(index) == {}


def test_those_that_were_refused_are_in_no_pack(index: SqlIndex, store: DicomStore) -> None:
    new = described(*(made(study) for study in range(4)))
    index.uploads.store_instances(store.id, new[:1])
    assert index.uploads.store_instances(store.id, new) == {new[0].uids}
    assert sorted(map(len, packs(index).values())) == [1, 3]
    check(index)
    for row in rows(index, store):
        assert row.sop_instance_uid.encode() in header_of(index, row)


def test_a_pack_that_is_damaged_is_emptied_for_those_that_stay(index: SqlIndex, store: DicomStore) -> None:
    """Their headers are read from their files; nothing of the one that went is left."""
    index.uploads.store_instances(store.id, described(*(made(study) for study in range(4))))
    with index.database.write() as connection:
        connection.execute(update(header_pack).values(data=b"Patient 2"))
    index.deletion.delete_instance(STORE, ResourcePath("1.2.2", "1.2.2.0", "1.2.2.0.0"))
    with index.database.read() as connection:
        assert connection.execute(select(header_pack.c.data)).scalars().all() == [b""]
    assert len({row.pack_id for row in rows(index, store)}) == 1


def test_a_shared_pack_costs_less_than_one_for_each() -> None:
    new = described(*(made(study) for study in range(SHARED_ITEMS)))
    (shared,) = {each.description.pack for each in new if each.description is not None}
    alone = [said.pack for study in range(SHARED_ITEMS) if (said := described(made(study))[0].description)]
    assert len(shared) < sum(map(len, alone)) / 2
