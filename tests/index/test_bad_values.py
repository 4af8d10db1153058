"""A value that the index cannot hold fails one instance, whatever else is in the transaction."""

from __future__ import annotations

import pytest

from gantry.errors import AlreadyExists, Code, DataLoss
from gantry.index.sql import SqlIndex
from gantry.resources import Batch, DicomStore, Instance, Operation, Replacement
from tests.index.values import RUNNER, SERIES_SAID, STUDY_SAID, item, said, stored

BAD = {
    "a number of more than 64 bits": {"size": 2**63},
    "a text that is no Unicode": {"transfer_syntax_uid": "1.2\ud800"},
    "no value": {"storage_class": None},
    "a value of a strange type": {"storage_class": object()},
}


@pytest.fixture(params=BAD.values(), ids=BAD.keys())
def bad(request: pytest.FixtureRequest) -> Instance:
    return item(1)._replace(resource="gs://b/1", **request.param)


def uids(index: SqlIndex, store: DicomStore) -> set[str]:
    return {each.sop_instance_uid for each in stored(index, store)}


def test_of_a_batch_all_others_are_committed(
    index: SqlIndex, store: DicomStore, operation: Operation, bad: Instance
) -> None:
    batch = Batch("a", (item(0), bad, item(2)))
    committed = index.operations.commit_batch(operation, RUNNER, batch)
    assert committed.lost == 1
    assert uids(index, store) == {"9.0", "9.2"}
    counter = index.operations.get_operation(operation.name).counter
    assert (counter.success, counter.failure) == (2, 1)
    (entry,) = index.logs.list_failures(operation.name, 10)
    assert (entry.failure.resource, entry.failure.status.code) == ("gs://b/1", Code.DATA_LOSS)
    assert index.garbage.list_blobs() == ["b/1"], "its bytes go"


def test_of_a_long_batch_all_others_are_committed(
    index: SqlIndex, store: DicomStore, operation: Operation, bad: Instance
) -> None:
    """So long that a database may have another way to take it."""
    batch = Batch("a", (*map(item, range(2, 30)), bad, *map(item, range(30, 40))))
    assert index.operations.commit_batch(operation, RUNNER, batch).lost == 1
    assert uids(index, store) == {f"9.{number}" for number in range(2, 40)}
    assert index.garbage.list_blobs() == ["b/1"], "its bytes go"


def test_a_long_batch_with_an_instance_that_is_there_is_refused_as_a_whole(
    index: SqlIndex, store: DicomStore, operation: Operation
) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", (item(7),)))
    with pytest.raises(AlreadyExists):
        index.operations.commit_batch(operation, RUNNER, Batch("b", tuple(map(item, range(30)))))
    assert uids(index, store) == {"9.7"}
    assert index.operations.get_operation(operation.name).checkpoint == "a"


def test_of_an_upload_all_others_are_stored(index: SqlIndex, store: DicomStore, bad: Instance) -> None:
    for replace in (False, True):
        with pytest.raises(DataLoss):
            index.uploads.store_instances(store.id, [item(0), bad, item(2)], replace)
        assert uids(index, store) == {"9.0", "9.2"}


def test_one_that_exists_is_replaced_or_stays_as_it_was(
    index: SqlIndex, store: DicomStore, operation: Operation, bad: Instance
) -> None:
    if bad.size < 2**63 and bad.storage_class != "NEARLINE":
        return  # it keeps its storage class
    index.uploads.store_instances(store.id, [said(item(n, series=f"1.2.{n}")) for n in range(3)])
    before = {each.sop_instance_uid: each for each in index.instances.walk_store(store.id)}
    new = [said(bad if n == 1 else item(n))._replace(blob_key=f"new/{n}") for n in range(3)]
    changes = tuple(Replacement(before[f"9.{n}"], new[n], STUDY_SAID, SERIES_SAID) for n in range(3))
    assert index.operations.commit_batch(operation, RUNNER, Batch("a", replacements=changes)).lost == 1
    assert {each.blob_key for each in stored(index, store)} == {"new/0", "b/1", "new/2"}
    assert set(index.garbage.list_blobs()) == {"b/0", "new/1", "b/2"}
