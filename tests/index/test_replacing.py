"""Instances that are stored instead of those that are there: PUT of the studies path."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from gantry.errors import Aborted, Code, NotFound
from gantry.index.sql import SqlIndex
from gantry.index.tables import series, study
from gantry.names import ResourcePath
from gantry.resources import (
    Batch,
    Change,
    DicomStore,
    Failure,
    Instance,
    Operation,
    Replacement,
    SeriesAttributes,
    StoredInstance,
    StudyAttributes,
)
from tests.index.test_sqlite import plans
from tests.index.values import RUNNER, STORE, item, metrics_of, said, stored


def new(number: int, key: str) -> Instance:
    return said(item(number))._replace(blob_key=key, storage_class="STANDARD")


@pytest.mark.slow
def test_many_at_once_are_all_stored_and_the_last_one_stays(index: SqlIndex, store: DicomStore) -> None:
    """None is refused, though none was there when each of them began."""
    keys = [f"k/{number}" for number in range(8)]
    for uid in range(10):
        with ThreadPoolExecutor(len(keys)) as threads:
            calls = [
                threads.submit(index.uploads.store_instances, store.id, [new(uid, f"{uid}/{key}")], True)
                for key in keys
            ]
            assert [call.result() for call in calls] == [set()] * len(keys)
    left = {each.blob_key for each in stored(index, store)}
    assert len(left) == 10
    assert left | set(index.garbage.list_blobs()) == {f"{uid}/{key}" for uid in range(10) for key in keys}
    assert len(index.garbage.list_blobs()) == 10 * (len(keys) - 1)


@pytest.mark.parametrize("name", ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"])
def test_an_instance_of_another_storage_class_is_not_replaced(index: SqlIndex, operation: Operation, name: str) -> None:
    """The caller has written the bytes to the place of a class: that must be the class of the row."""
    index.uploads.store_instances(operation.store_id, [new(1, "a"), new(2, "b")])
    before = next(index.instances.walk_store(operation.store_id))
    index.operations.commit_batch(operation, RUNNER, Batch("a", changes=(Change(before, name, "a"),)))
    again = [new(number, f"again/{number}") for number in (1, 2, 3)]
    if name != "STANDARD":
        with pytest.raises(Aborted):
            index.uploads.store_instances(operation.store_id, again, True)
        assert {each.blob_key for each in stored(index, index.resources.get_dicom_store(STORE))} == {"a", "b"}
    again[0] = again[0]._replace(storage_class=name)
    index.uploads.store_instances(operation.store_id, again, True)
    found = {each.sop_instance_uid: each for each in stored(index, index.resources.get_dicom_store(STORE))}
    assert [found[f"9.{number}"].storage_class for number in (1, 2, 3)] == [name, "STANDARD", "STANDARD"]
    assert found["9.1"].blob_key == "again/1"


def test_what_is_stored_instead_says_what_the_study_is(index: SqlIndex, store: DicomStore) -> None:
    index.uploads.store_instances(store.id, [new(1, "a"), new(2, "b")])
    other = [said(new(number, f"c/{number}"), StudyAttributes("Roe^Jane", "P2")) for number in (1, 2)]
    index.uploads.store_instances(store.id, other, True)
    assert index.metrics.get_metrics(STORE) == metrics_of(other)
    rows = list(index.instances.list_below(STORE, ResourcePath("1.2")))
    assert [row.blob_key for row in rows] == ["c/1", "c/2"]
    assert len(index.instances.get_header_packs([row.pack_id for row in rows if row.pack_id])) == 1
    assert sorted(index.garbage.list_blobs()) == ["a", "b"]


def test_those_that_are_alone_in_their_study_keep_their_place_and_say_all_anew(
    index: SqlIndex, store: DicomStore
) -> None:
    """A walk finds them by the number of their series; nothing of those before is left in the rows."""
    empty, modality = SeriesAttributes(), SeriesAttributes(modality="CT", series_number="7")
    first = said(new(1, "a"), StudyAttributes("Doe^John", "P1", study_date="20240101"), modality)
    other = said(new(2, "b")._replace(series_instance_uid="1.2.2"), StudyAttributes(), SeriesAttributes(modality="MR"))
    index.uploads.store_instances(store.id, [first, other])
    places = [each.position for each in index.instances.walk_store(store.id)]
    again = [
        said(new(1, "c"), StudyAttributes(patient_id="P2"), empty),
        said(new(2, "d")._replace(series_instance_uid="1.2.2"), StudyAttributes(), empty),
    ]
    for replaced in ([again[0]._replace(blob_key="e")], again):
        index.uploads.store_instances(store.id, replaced, True)
        assert [each.position for each in index.instances.walk_store(store.id)] == places
        with index.database.read() as connection:
            (row,) = connection.execute(select(study)).all()
            assert row.modalities == ("MR" if replaced != again else "")
            assert {each.series_number for each in connection.execute(select(series))} == {""}
    assert (row.patient_name, row.patient_id, row.study_date, row.instance_count, row.series_count) == (
        "",
        "P2",
        "",
        2,
        2,
    )
    index.deletion.delete_instance(STORE, ResourcePath("1.2", "1.2.1", "9.1"))
    assert len(list(index.instances.walk_store(store.id))) == 1


@pytest.mark.parametrize("index", ["sqlite"], indirect=True)
def test_replacing_many_costs_as_many_statements_as_a_few(index: SqlIndex, store: DicomStore) -> None:
    """Of one series in one batch."""
    counts = []
    for start, count in ((0, 5), (100, 80)):
        for key in ("a", "b"):
            batch = [new(number, f"{key}/{number}") for number in range(start, start + count)]
            with plans(index) as steps:
                index.uploads.store_instances(store.id, batch, True)
        counts.append(len(steps))
    assert counts[1] < counts[0] + 10


def test_a_store_that_is_gone_takes_none(index: SqlIndex, store: DicomStore) -> None:
    index.resources.delete_dicom_store(STORE)
    with pytest.raises(NotFound):
        index.uploads.store_instances(store.id, [new(1, "a")], True)


def _replacement(before: StoredInstance) -> Replacement:
    return Replacement(before, before.to_instance()._replace(blob_key="late"), StudyAttributes(), SeriesAttributes())


def _change_class(index: SqlIndex, operation: Operation, before: StoredInstance) -> Failure | None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", changes=(Change(before, "ARCHIVE", "late"),)))
    return index.logs.list_failures(operation.name, 10)[0].failure


def _update_metadata(index: SqlIndex, operation: Operation, before: StoredInstance) -> Failure | None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", replacements=(_replacement(before),)))
    return index.logs.list_failures(operation.name, 10)[0].failure


def _patch(index: SqlIndex, operation: Operation, before: StoredInstance) -> Failure | None:
    return index.uploads.replace_instance(operation.store_id, _replacement(before))


@pytest.mark.parametrize("change", [_change_class, _update_metadata, _patch])
@pytest.mark.parametrize("ends", ["replaced", "deleted", "deleted and stored again"])
def test_the_only_instance_of_a_series_that_is_replaced_was_not_deleted(
    index: SqlIndex,
    operation: Operation,
    change: Callable[[SqlIndex, Operation, StoredInstance], Failure | None],
    ends: str,
) -> None:
    """A change that has read it before is too late, and says whether it is there. What was deleted and stored again is
    in a new series."""
    index.uploads.store_instances(operation.store_id, [new(1, "a")])
    before = next(index.instances.walk_store(operation.store_id))
    is_replaced = ends != "deleted"
    if ends != "replaced":
        index.deletion.delete_instance(STORE, ResourcePath(*before.uids))
    if is_replaced:
        index.uploads.store_instances(operation.store_id, [new(1, "b")], ends == "replaced")
    failure = change(index, operation, before)
    assert failure is not None
    assert failure.status.code is (Code.ABORTED if is_replaced else Code.NOT_FOUND)
    assert ("changed or moved" if is_replaced else "deleted") in failure.status.message
    rows = stored(index, index.resources.get_dicom_store(STORE))
    assert [(row.blob_key, row.storage_class) for row in rows] == [("b", "STANDARD")] * is_replaced
    assert "late" in index.garbage.list_blobs()


def test_an_instance_whose_store_was_deleted_was_not_changed(index: SqlIndex, operation: Operation) -> None:
    """Its rows are still there until they are swept."""
    index.uploads.store_instances(operation.store_id, [new(1, "a")])
    before = next(index.instances.walk_store(operation.store_id))
    index.resources.delete_dicom_store(STORE)
    with pytest.raises(NotFound, match="the DICOM store was deleted just now"):
        _patch(index, operation, before)


def test_what_took_its_place_already_is_no_garbage(index: SqlIndex, store: DicomStore) -> None:
    """A request goes on after it was refused for one of its instances: others may have their rows by then."""
    for _ in range(2):
        index.uploads.store_instances(store.id, [new(1, "a"), new(2, "b")], True)
    assert [row.blob_key for row in stored(index, store)] == ["a", "b"]
    assert index.garbage.list_blobs() == []
    assert index.metrics.get_metrics(STORE) == metrics_of([new(1, "a"), new(2, "b")])
