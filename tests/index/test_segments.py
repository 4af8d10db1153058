"""Instances that share segments: keys come back as they went in, and a segment goes once, with its last instance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gantry.errors import Aborted, AlreadyExists, Internal
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.resources import (
    Batch,
    Change,
    DicomStore,
    Instance,
    Method,
    Operation,
    Replacement,
    Segment,
    SegmentTotals,
    SeriesAttributes,
    StudyAttributes,
)
from gantry.storage.extents import Extent
from tests.index.audit import audit, audit_orphans
from tests.index.test_sqlite import plans
from tests.index.values import RUNNER, STORE, item, said, stored

A, B = "main/1/7/a1-a0/000.0000-0000-0011223344556677.seg", "cold/1/stow/3/0000-8899aabbccddeeff.seg"
BLOCK = 4096


@pytest.fixture(autouse=True)
def _audited(index: SqlIndex) -> Iterator[None]:
    yield
    with index.database.read() as connection:
        audit(connection)
        audit_orphans(connection)


def inside(number: int, segment: str = A, size: int = 100, **names: str) -> Instance:
    """The instance that has block ``number`` of a segment."""
    return item(number, **names)._replace(blob_key=str(Extent(segment, number * BLOCK, size)), size=size)


def commit(index: SqlIndex, operation: Operation, *instances: Instance, segments: tuple[str, ...] = (A,)) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", instances, segments=segments))


def sparse(index: SqlIndex, share: float = 1.0) -> list[Segment]:
    return index.segments.list_sparse(100, share)


def test_keys_come_back_as_they_went_in(index: SqlIndex, operation: Operation) -> None:
    new = [inside(1), inside(2, size=0), inside(3, B, size=2 * BLOCK), item(4), inside(5, B, study="1.3", series="7")]
    commit(index, operation, *new)
    store = index.resources.get_dicom_store(STORE)
    assert sorted(stored(index, store)) == sorted(new)
    found = index.instances.find_stored(store.id, [each.uids for each in new])
    assert {uids: row.blob_key for uids, row in found.items()} == {each.uids: each.blob_key for each in new}
    below = index.instances.list_below(STORE, ResourcePath("1.3"))
    assert [row.blob_key for row in below] == [new[4].blob_key]
    undescribed = index.description.list_first_in_study(found[new[0].uids].series_id, 10)
    assert {row.blob_key for row in undescribed} == {each.blob_key for each in new[:4]}
    assert index.description.are_there(found.values())


def test_a_key_that_says_another_size_is_refused(index: SqlIndex, operation: Operation) -> None:
    with pytest.raises(Internal):
        commit(index, operation, inside(1)._replace(size=99))


def test_what_is_left_of_segments(index: SqlIndex, operation: Operation) -> None:
    commit(index, operation, inside(0), inside(1, size=BLOCK + 1), inside(3, B), segments=(A, B))
    assert sparse(index) == [Segment(operation.store_id, B, 4 * BLOCK, 1, BLOCK)]
    index.deletion.delete_instance(STORE, ResourcePath(*inside(0).uids))
    assert sparse(index) == [
        Segment(operation.store_id, B, 4 * BLOCK, 1, BLOCK),
        Segment(operation.store_id, A, 3 * BLOCK, 1, 2 * BLOCK),
    ]
    assert [each.key for each in sparse(index, 0.5)] == [B]
    assert index.segments.list_sparse(1, 1.0, after=B) == sparse(index)[1:]
    assert index.segments.list_totals() == [
        SegmentTotals(STORE, operation.store_id, "cold", 1, 4 * BLOCK, 1, BLOCK, 1),
        SegmentTotals(STORE, operation.store_id, "main", 1, 3 * BLOCK, 1, 2 * BLOCK, 1),
    ]
    assert index.segments.list_totals()[0].freed_bytes == 3 * BLOCK
    assert index.garbage.list_blobs() == [inside(0).blob_key]


def test_a_segment_goes_with_its_last_instance_and_takes_all_places_inside(
    index: SqlIndex, operation: Operation
) -> None:
    commit(index, operation, *(inside(number) for number in range(3)), inside(7, B), segments=(A, B))
    for number in range(3):
        assert A not in index.garbage.list_blobs()
        index.deletion.delete_instance(STORE, ResourcePath(*inside(number).uids))
    assert index.garbage.list_blobs() == [A]
    assert [each.place for each in index.segments.list_totals()] == ["cold"]


def test_an_open_segment_stays_until_it_is_sealed(index: SqlIndex, store: DicomStore) -> None:
    index.uploads.store_instances(store.id, [inside(1)])
    index.deletion.delete_instance(STORE, ResourcePath(*inside(1).uids))
    assert index.garbage.list_blobs() == [inside(1).blob_key]
    assert sparse(index) == []
    index.uploads.store_instances(store.id, [inside(2)])
    index.uploads.end_upload(0, [A])
    assert index.garbage.list_blobs() == [inside(1).blob_key]
    assert [each.key for each in sparse(index)] == [A]
    index.deletion.delete_instance(STORE, ResourcePath(*inside(2).uids))
    assert index.garbage.list_blobs() == [A]


def test_a_segment_that_no_row_has_named_becomes_garbage(index: SqlIndex, operation: Operation) -> None:
    refused = Batch("a", (item(1),), garbage=(inside(1).blob_key,), segments=(A,))
    index.operations.commit_batch(operation, RUNNER, refused)
    assert index.garbage.list_blobs() == [A]
    index.uploads.end_upload(0, [B])
    assert sorted(index.garbage.list_blobs()) == sorted([A, B])


def test_an_empty_segment_goes_when_it_is_sealed(index: SqlIndex, store: DicomStore) -> None:
    index.uploads.store_instances(store.id, [inside(1)])
    index.deletion.delete_instance(STORE, ResourcePath(*inside(1).uids))
    index.uploads.end_upload(0, [A])
    index.uploads.end_upload(0, [A])
    assert index.garbage.list_blobs() == [A]
    assert index.segments.list_totals() == []


def test_instances_that_change_their_class_leave_a_segment_for_another(index: SqlIndex, operation: Operation) -> None:
    commit(index, operation, inside(1), inside(2))
    rows = list(index.instances.walk_store(operation.store_id))
    late = rows[1]._replace(blob_key="another")
    changes = (Change(rows[0], "ARCHIVE", inside(1, B).blob_key), Change(late, "ARCHIVE", inside(2, B).blob_key))
    index.operations.commit_batch(operation, RUNNER, Batch("b", changes=changes, segments=(B,)))
    assert index.garbage.list_blobs() == sorted([inside(2, B).blob_key, inside(1).blob_key])
    assert [(each.key, each.live_instances) for each in sparse(index)] == [(B, 1), (A, 1)]
    rows = list(index.instances.walk_store(operation.store_id))
    index.operations.commit_batch(operation, RUNNER, Batch("c", changes=(Change(rows[1], "ARCHIVE", "own"),)))
    assert index.garbage.list_blobs() == sorted([inside(2, B).blob_key, A])
    kept = Change(rows[0], "NEARLINE", rows[0].blob_key)
    index.operations.commit_batch(operation, RUNNER, Batch("d", changes=(kept,)))
    assert {each.blob_key for each in index.instances.walk_store(operation.store_id)} == {
        "own",
        inside(1, B).blob_key,
    }


def test_replaced_instances_leave_a_segment_for_another(index: SqlIndex, operation: Operation) -> None:
    commit(index, operation, inside(1), inside(2))
    said = StudyAttributes(), SeriesAttributes()
    one, two = index.instances.walk_store(operation.store_id)
    longer = inside(1, B, size=3 * BLOCK)
    batch = Batch("b", replacements=(Replacement(one, longer, *said),), segments=(B,))
    index.operations.commit_batch(operation, RUNNER, batch)
    assert [each[2:] for each in sparse(index, 1.1)] == [(4 * BLOCK, 1, 3 * BLOCK), (3 * BLOCK, 1, BLOCK)]
    assert index.uploads.replace_instance(operation.store_id, Replacement(two, item(2)._replace(size=5), *said)) is None
    assert index.uploads.replace_instance(operation.store_id, Replacement(two, inside(2, B, size=5), *said)) is not None
    assert index.garbage.list_blobs() == sorted([A, inside(2, B, size=5).blob_key])
    instead = [inside(9, B)._replace(sop_instance_uid="9.2")]
    index.uploads.store_instances(operation.store_id, instead, replace=True)
    assert {each.blob_key for each in index.instances.walk_store(operation.store_id)} == {
        longer.blob_key,
        instead[0].blob_key,
    }


def test_a_move_leaves_the_class_and_its_time_and_the_old_segment_goes(index: SqlIndex, operation: Operation) -> None:
    commit(index, operation, inside(1), inside(2), inside(3))
    rows = list(index.instances.walk_store(operation.store_id))
    path = ResourcePath(*rows[0].uids)
    before = index.instances.get_storage_info(STORE, path)
    moves = [Change(row, row.storage_class, row.blob_key.replace(A, B)) for row in rows]
    index.deletion.delete_instance(STORE, ResourcePath(*rows[2].uids))
    assert index.segments.is_busy(operation.store_id)
    with pytest.raises(Aborted, match="not done"):  # it would take the move for a change by somebody else
        index.segments.move_instances(operation.store_id, moves, [B])
    index.operations.finish_operation(operation, RUNNER, None)
    assert not index.segments.is_busy(operation.store_id)
    lost = index.segments.move_instances(operation.store_id, moves, [B])
    assert [failure.resource for failure in lost] == [rows[2].path]
    assert index.instances.get_storage_info(STORE, path) == before
    assert sorted(index.garbage.list_blobs()) == sorted([A, moves[2].blob_key])
    assert [each.key for each in sparse(index, 1.1)] == [B]


def test_a_move_does_not_take_back_a_class_that_was_set_meanwhile(index: SqlIndex, operation: Operation) -> None:
    """A class without a place of its own is set without a new key, so the key does not tell of it."""
    commit(index, operation, inside(1))
    (read,) = index.instances.walk_store(operation.store_id)
    changed = Change(read, "ARCHIVE", read.blob_key)
    index.operations.commit_batch(operation, RUNNER, Batch("b", changes=(changed,)))
    index.operations.finish_operation(operation, RUNNER, None)
    before = index.instances.get_storage_info(STORE, ResourcePath(*read.uids))
    move = Change(read, read.storage_class, inside(1, B).blob_key)
    assert index.segments.move_instances(operation.store_id, [move], [B]) == ()
    assert index.instances.get_storage_info(STORE, ResourcePath(*read.uids)) == before
    assert before.storage_class == "ARCHIVE"
    assert [each.blob_key for each in index.instances.walk_store(operation.store_id)] == [inside(1, B).blob_key]


@pytest.mark.parametrize("path", [ResourcePath("1.2"), ResourcePath("1.2", "1.2.1")])
def test_what_is_deleted_in_pieces_leaves_its_segments_piece_by_piece(
    index: SqlIndex, operation: Operation, path: ResourcePath
) -> None:
    commit(index, operation, *(inside(number) for number in range(10)), inside(20, B), segments=(A, B))
    commit(index, operation, inside(30, B, study="1.3", series="5"))
    index.deletion.delete_below(STORE, path, "v1", Method.DELETE_STUDY)
    left = []
    while not index.garbage.purge_removed(3):
        left.append(sum(each.live_instances for each in index.segments.list_totals()))
        with index.database.read() as connection:
            audit(connection)
    assert left[:4] == [9, 6, 3, 1]
    assert sorted(index.garbage.list_blobs()) == sorted([A, inside(20, B).blob_key])


def test_a_deleted_store_leaves_no_segment(index: SqlIndex, operation: Operation) -> None:
    """Not those that are open either, nor, in the end, those that hold what was removed from it before."""
    commit(index, operation, inside(1), inside(2, B), inside(3, B, study="1.3", series="5"))
    index.deletion.delete_below(STORE, ResourcePath("1.3"), "v1", Method.DELETE_STUDY)
    index.resources.delete_dicom_store(STORE)
    assert [each.store for each in index.segments.list_totals()] == [None, None]
    assert sparse(index) == []
    while not index.garbage.purge_store(operation.store_id, 1):
        pass
    index.garbage.forget_store(operation.store_id)
    assert [each.live_instances for each in index.segments.list_totals()] == [1]
    while not index.garbage.purge_removed():
        pass
    assert index.segments.list_totals() == []
    assert B in index.garbage.list_blobs()


@pytest.mark.parametrize("index", ["sqlite"], indirect=True)
def test_a_batch_costs_as_many_statements_whatever_it_holds(index: SqlIndex, operation: Operation) -> None:
    """The driver runs one statement for all rows of a table."""
    counts = []
    for start, count in ((1000, 3), (2000, 300)):
        new = [inside(start + number, (A, B)[number % 2]) for number in range(count)]
        with plans(index) as steps:
            commit(index, operation, *new, segments=())
        counts.append(len(steps))
    assert counts[1] <= counts[0]


def test_a_batch_that_names_an_instance_twice_is_refused_whatever_its_header_lacks(
    index: SqlIndex, operation: Operation
) -> None:
    first = said(item(1))._replace(blob_key="main/1/a.seg@0+101")
    assert first.description is not None
    other = first.description._replace(instance_number=None)
    second = first._replace(blob_key="main/1/a.seg@4096+101", description=other)
    with pytest.raises(AlreadyExists):
        index.operations.commit_batch(operation, RUNNER, Batch("a", (first, second)))
    assert list(index.instances.walk_store(operation.store_id)) == []
