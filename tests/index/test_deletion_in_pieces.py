"""A study or series is gone as a whole with one short transaction; its rows go in pieces afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.errors import Code, NotFound
from gantry.index import lookups, walking
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.queries import Level, Operator, Query
from gantry.resources import Batch, Change, Instance, Method, Operation, Replacement, StoredInstance
from tests.index.audit import audit
from tests.index.values import (
    RUNNER,
    SERIES_SAID,
    STORE,
    STUDY_SAID,
    found_by,
    item,
    metrics_of,
    said,
    selected,
    stored,
)

STUDY = ResourcePath("1.2")
BELOW = {"study": STUDY, "series": ResourcePath("1.2", "1.2.1")}
PIECE = 3


def contents() -> list[Instance]:
    """Two series in one study, a third one in another; two storage classes."""
    made = [said(item(number, "1.2", f"1.2.{1 + number % 2}")) for number in range(20)]
    made += [said(item(number, "1.3", "1.3.1")) for number in range(20, 25)]
    return [each._replace(storage_class=("STANDARD", "NEARLINE")[n % 3 == 0]) for n, each in enumerate(made)]


def is_below(path: ResourcePath, each: Instance | StoredInstance) -> bool:
    return each.study_instance_uid == path.study and path.series in ("", each.series_instance_uid)


def check(index: SqlIndex, left: list[Instance]) -> None:
    """Nothing but ``left`` can be seen, by whatever way; and every count says so."""
    with index.database.read() as connection:
        audit(connection)
    plain = sorted(each._replace(description=None) for each in left)
    assert sorted(stored(index, index.resources.get_dicom_store(STORE))) == plain
    assert index.metrics.get_metrics(STORE) == metrics_of(left)
    search = Query(Level.INSTANCE, ResourcePath(""), limit=100)
    assert {row.uids for row in index.search.search_instances(STORE, search)} == {each.uids for each in left}
    series = index.search.search_series(STORE, Query(Level.SERIES, ResourcePath(""), limit=100))
    assert {row[:2] for row in series} == {each.uids[:2] for each in left}
    studies = {each.study_instance_uid for each in left}
    assert {row.study_instance_uid for row in found_by(index, "patient_name", Operator.WORDS, "john")} == studies
    assert {row.study_instance_uid for row in found_by(index, "modalities_in_study", Operator.EQUALS, "CT")} == studies
    grown = index.metrics.list_growth(STORE)
    assert sum(each.blob_bytes for each in grown) == sum(each.size for each in left)


@pytest.fixture(params=BELOW)
def below(request: pytest.FixtureRequest) -> ResourcePath:
    return BELOW[request.param]


def delete(index: SqlIndex, below: ResourcePath) -> Operation:
    return index.deletion.delete_below(STORE, below, "v1", Method.DELETE_STUDY)


def test_it_is_gone_at_once_and_rows_go_piece_by_piece(
    index: SqlIndex, operation: Operation, below: ResourcePath
) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(contents())))
    left = [each for each in contents() if not is_below(below, each)]
    assert delete(index, below).done
    check(index, left)
    for path in (below, ResourcePath(*contents()[0].uids)):
        with pytest.raises(NotFound):
            index.instances.list_below(STORE, path)
        with pytest.raises(NotFound):
            index.instances.require(STORE, path)
    pieces = 0
    while not index.garbage.purge_removed(PIECE):
        pieces += 1
        check(index, left)
        assert len(index.garbage.list_blobs()) <= pieces * PIECE
    gone = [each for each in contents() if is_below(below, each)]
    assert pieces > len(gone) // PIECE
    assert sorted(index.garbage.list_blobs()) == sorted(each.blob_key for each in gone)


@pytest.mark.slow
def test_the_same_instances_can_be_stored_again_right_away(
    index: SqlIndex, operation: Operation, below: ResourcePath
) -> None:
    everything = contents()
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(everything)))
    for attempt in range(3):
        delete(index, below)
        again = [each._replace(blob_key=f"{attempt}/{each.blob_key}") for each in everything if is_below(below, each)]
        assert index.uploads.store_instances(operation.store_id, again) == set()
        everything = [each for each in everything if not is_below(below, each)] + again
        check(index, everything)
    while not index.garbage.purge_removed(PIECE):
        check(index, everything)
    assert not {each.blob_key for each in everything} & set(index.garbage.list_blobs())


@pytest.mark.parametrize("index", ["sqlite"], indirect=True)
def test_pieces_go_on_after_a_crash(index: SqlIndex, operation: Operation, sqlite_path: Path) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(contents())))
    delete(index, STUDY)
    assert not index.garbage.purge_removed(PIECE)
    index.close()
    again = SqlIndex(f"sqlite:///{sqlite_path}")
    while not again.garbage.purge_removed(PIECE):
        pass
    check(again, [each for each in contents() if not is_below(STUDY, each)])
    assert len(again.garbage.list_blobs(limit=100)) == 20
    with again.database.read() as connection:
        tables = ("instance", "series", "study", "study_text", "study_modality", "header_pack")
        counts = {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in tables}
        assert connection.exec_driver_sql("SELECT count(*) FROM dicom_store").scalar() == 1
    assert counts == {"instance": 5, "series": 1, "study": 1, "study_text": 1, "study_modality": 1, "header_pack": 1}
    again.close()


def test_the_store_and_the_dataset_can_go_meanwhile(index: SqlIndex, operation: Operation) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(contents())))
    delete(index, STUDY)
    assert index.garbage.list_deleted_stores() == []
    index.resources.delete_dataset(STORE.parent)
    assert index.garbage.list_deleted_stores() == [operation.store_id]
    while not index.garbage.purge_store(operation.store_id, PIECE):
        index.garbage.purge_removed(PIECE)
    index.garbage.forget_store(operation.store_id)
    while not index.garbage.purge_removed(PIECE):
        pass
    with index.database.read() as connection:
        for table in ("instance", "series", "study", "dicom_store", "tally", "series_tally"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def test_walks_that_are_under_way_see_no_more_of_it(
    index: SqlIndex, operation: Operation, below: ResourcePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was read before the deletion is the last one."""
    monkeypatch.setattr(walking, "PAGE", 2)
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(contents())))
    index.operations.commit_batch(operation, RUNNER, Batch("b", selection=selected(("1.2", "", ""))))
    walks = [
        index.instances.walk_store(operation.store_id),
        index.instances.walk_below(operation.store_id, below),
        index.selections.walk_selected(operation.name.id),
    ]
    for walk in walks:
        next(walk)
    delete(index, below)
    for walk in walks:
        assert [each.uids for each in walk if is_below(below, each)][1:] == []
    gone = sum(is_below(below, each) for each in contents())
    assert index.selections.count_selected(operation.name.id) == 20 - gone


def late_change(before: StoredInstance) -> Batch:
    return Batch("c", changes=(Change(before, "ARCHIVE", f"late/{before.blob_key}"),))


def late_replacement(before: StoredInstance) -> Batch:
    after = said(before.to_instance()._replace(blob_key=f"late/{before.blob_key}"))
    return Batch("c", replacements=(Replacement(before, after, STUDY_SAID, SERIES_SAID),))


@pytest.mark.parametrize("late", [late_change, late_replacement])
def test_what_comes_too_late_fails_and_its_blob_becomes_garbage(
    index: SqlIndex, operation: Operation, below: ResourcePath, late: Callable[[StoredInstance], Batch]
) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(contents())))
    before = next(each for each in index.instances.walk_store(operation.store_id) if is_below(below, each))
    delete(index, below)
    assert index.operations.commit_batch(operation, RUNNER, late(before)).lost == 1
    assert index.logs.get_first_failure(operation.name).status.code == Code.NOT_FOUND
    assert index.garbage.list_blobs() == [f"late/{before.blob_key}"]
    check(index, [each for each in contents() if not is_below(below, each)])


@pytest.mark.parametrize("index", ["sqlite"], indirect=True)
def test_how_long_the_transaction_takes_does_not_depend_on_the_instances(
    index: SqlIndex, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that change: as many as there are series."""
    new = [item(number, "1.2", f"1.2.{number % 3}") for number in range(600)]
    monkeypatch.setattr(lookups, "CHUNK", 400)
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(new)))
    before = changes(index)
    delete(index, STUDY)
    assert changes(index) - before < 20


def changes(index: SqlIndex) -> int:
    with index.database.write() as connection:
        return int(connection.exec_driver_sql("SELECT total_changes()").scalar() or 0)


def test_two_changes_of_class_of_one_instance_are_counted_by_the_row(index: SqlIndex, operation: Operation) -> None:
    """Both have read it as it was; its bytes stay where they are."""
    index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
    (before,) = index.instances.walk_store(operation.store_id)
    for name in ("ARCHIVE", "COLDLINE"):
        change = Change(before, name, before.blob_key)
        index.operations.commit_batch(operation, RUNNER, Batch("b", changes=(change,)))
    (grown,) = [each for each in index.metrics.list_growth(STORE) if each.instances]
    assert (grown.storage_class, grown.instances) == ("COLDLINE", 1)
