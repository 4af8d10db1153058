"""The change feed: each change once, in the order of the transactions, with positions that stay good or say why not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from gantry.errors import DataLoss, OutOfRange
from gantry.events import Action, Event, Kind, Position, pack_events, unpack_events
from gantry.index import change_packs
from gantry.index.clock import from_micros
from gantry.index.sql import SqlIndex
from gantry.index.tables import change_pack, change_start
from gantry.names import ResourcePath
from gantry.resources import Batch, Change, DicomStore, Instance, Method, Operation, Replacement
from tests.index.following import Following
from tests.index.values import DATASET, RUNNER, SERIES_SAID, STORE, STUDY_SAID, begin, item, said

LATER = datetime.now(UTC) + timedelta(days=400)
PIECE = 3


def read(index: SqlIndex, store_id: int, position: Position | None = None, limit: int = 1000) -> list[Event]:
    return [event for _, event in index.feed.read(store_id, position, limit).events]


def told(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(event.kind.value, event.sop_instance_uid) for event in events]


def begin_method(index: SqlIndex, method: Method) -> Operation:
    index.operations.create_operation(DATASET, "v1", method, {}, str(STORE))
    claimed = index.operations.claim_operation(RUNNER)
    assert claimed is not None
    return claimed


def commit(index: SqlIndex, operation: Operation, *new: Instance) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", new))


def test_everything_that_happens_is_told_with_what_it_is_about(index: SqlIndex, operation: Operation) -> None:
    store_id = operation.store_id
    commit(index, operation, said(item(1)), item(2))
    index.uploads.store_instances(store_id, [said(item(3))])
    (one, two, three) = index.instances.walk_store(store_id)
    again = said(item(3, prefix="again"))
    index.uploads.store_instances(store_id, [again, said(item(4))], replace=True)
    (_, _, three, _) = index.instances.walk_store(store_id)
    patched = said(item(3, prefix="patched"))
    replacement = Replacement(three, patched, STUDY_SAID, SERIES_SAID)
    assert index.uploads.replace_instance(store_id, replacement, Action.UPDATE) is None
    moving = begin_method(index, Method.SET_BLOB_STORAGE_SETTINGS)
    changes = (Change(one, "ARCHIVE", "moved"), Change(two, two.storage_class, two.blob_key))
    index.operations.commit_batch(moving, RUNNER, Batch("b", changes=changes))
    index.deletion.delete_instance(STORE, ResourcePath("1.2", "1.2.1", "9.2"))
    events = read(index, store_id)
    assert [(each.kind, each.action, each.sop_instance_uid) for each in events] == [
        (Kind.STORED, Action.IMPORT, "9.1"),
        (Kind.STORED, Action.IMPORT, "9.2"),
        (Kind.STORED, Action.STORE, "9.3"),
        (Kind.REPLACED, Action.UPDATE, "9.3"),
        (Kind.STORED, Action.STORE, "9.4"),
        (Kind.UPDATED, Action.UPDATE, "9.3"),
        (Kind.MOVED, Action.MOVE, "9.1"),
        (Kind.DELETED, Action.DELETE, "9.2"),
    ]
    assert {each.uids[:2] for each in events} == {("1.2", "1.2.1")}
    assert [each.modality for each in events] == ["CT"] * 8
    moved = events[6]
    assert (moved.storage_class, moved.previous_class, moved.version) == ("ARCHIVE", "NEARLINE", events[0].version)
    assert len({(each.uids, each.version) for each in events}) == 6


def test_a_deleted_study_is_told_instance_by_instance_before_what_came_after_it(
    index: SqlIndex, operation: Operation
) -> None:
    store_id, new = operation.store_id, [said(item(number, "1.2", f"1.2.{number % 2}")) for number in range(7)]
    commit(index, operation, *new, said(item(9, "1.3", "1.3.1")))
    before = read(index, store_id)
    position = index.feed.find_end(store_id)
    index.deletion.delete_below(STORE, ResourcePath("1.2", "1.2.1"), "v1", Method.DELETE_SERIES)
    index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
    index.uploads.store_instances(store_id, [said(each._replace(blob_key=f"again/{each.blob_key}")) for each in new])
    assert read(index, store_id, position) == [], "what came after a deletion is not told before all of it is"
    found: list[Event] = []
    for _ in range(30):
        index.garbage.purge_removed(2)
        page = index.feed.read(store_id, position, 3)
        found, position = found + [event for _, event in page.events], page.position
    assert told(found[:3]) == [("DELETED", f"9.{number}") for number in (1, 3, 5)]
    assert told(found[3:7]) == [("DELETED", f"9.{number}") for number in (0, 2, 4, 6)]
    assert sorted(told(found[7:])) == [("STORED", f"9.{number}") for number in range(7)]
    versions = {each.uids: each.version for each in before}
    assert all(versions[each.uids] == each.version and each.modality == "CT" for each in found[:7])


def test_the_time_is_that_of_the_transaction(index: SqlIndex, operation: Operation) -> None:
    now = 1_700_000_000_000_000
    index.database.now = lambda: now
    commit(index, operation, item(1))
    index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
    index.database.now = lambda: now + 5
    while not index.garbage.purge_removed(PIECE):
        pass
    assert [time for time, _ in index.feed.read(operation.store_id, None, 10).events] == [from_micros(now)] * 2


def test_a_page_may_end_inside_of_a_pack(index: SqlIndex, operation: Operation) -> None:
    commit(index, operation, *map(item, range(7)))
    commit(index, operation, *map(item, range(7, 9)))
    for limit in range(1, 10):
        position, found = None, []
        while events := (page := index.feed.read(operation.store_id, position, limit)).events:
            assert len(events) <= limit
            found += [event.sop_instance_uid for _, event in events]
            position = page.position
        assert sorted(found) == sorted(f"9.{number}" for number in range(9))


def test_a_batch_is_one_small_row(index: SqlIndex, operation: Operation) -> None:
    commit(index, operation, *(said(item(number)) for number in range(128)))
    with index.database.read() as connection:
        (size,) = [len(data) for data in connection.execute(select(change_pack.c.data)).scalars()]
    assert size < 128 * 12


def test_no_pack_is_large(index: SqlIndex, operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_packs, "PACK", 10)
    commit(index, operation, *map(item, range(25)))
    with index.database.read() as connection:
        packs = connection.execute(select(change_pack.c.data).order_by(change_pack.c.number)).scalars().all()
    assert [len(unpack_events(data)) for data in packs] == [10, 10, 5]
    assert len(read(index, operation.store_id)) == 25


def test_stores_have_feeds_of_their_own(index: SqlIndex, operation: Operation) -> None:
    other = replace(STORE, store="other")
    index.resources.create_dicom_store(DicomStore(other))
    other_id = index.resources.get_dicom_store(other).id
    commit(index, operation, item(1))
    index.uploads.store_instances(other_id, [item(2, prefix="other")])
    assert told(read(index, operation.store_id)) == [("STORED", "9.1")]
    assert told(read(index, other_id)) == [("STORED", "9.2")]
    assert index.feed.find_end(other_id)[:2] == (1, 0)


def test_news_change_with_what_can_be_read(index: SqlIndex, operation: Operation) -> None:
    def news() -> tuple[int, int]:
        return index.feed.find_news([operation.store_id])[operation.store_id]

    seen = [news()]
    commit(index, operation, item(1))
    seen.append(news())
    index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
    seen.append(news())
    while not index.garbage.purge_removed(PIECE):
        pass
    seen.append(news())
    assert len(set(seen)) == 4
    assert index.feed.read(operation.store_id, None, 10).news == seen[-1]


class TestWhatIsLost:
    def test_old_packs_go_and_positions_before_them_are_refused(self, index: SqlIndex, operation: Operation) -> None:
        store_id = operation.store_id
        for number in range(5):
            index.database.now = lambda number=number: 1_000_000 * number  # type: ignore[misc]
            commit(index, operation, item(number))
        positions = [Position(), *(index.feed.read(store_id, None, n).position for n in range(1, 6))]
        before = datetime.fromtimestamp(3, UTC)
        assert [index.feed.expire(before, 2) for _ in range(3)] == [False, False, True]
        for position in positions[:3]:
            with pytest.raises(OutOfRange, match=r"not kept any more\. Take a token with from=now"):
                index.feed.read(store_id, position, 10)
        for number in (3, 4, 5):
            assert told(read(index, store_id, positions[number])) == [("STORED", f"9.{n}") for n in range(number, 5)]
        assert len(read(index, store_id)) == 2
        assert index.feed.count() == (2, 1.0)

    def test_whoever_has_read_all_goes_on_when_all_is_old(self, index: SqlIndex, operation: Operation) -> None:
        commit(index, operation, item(1))
        inside = index.feed.read(operation.store_id, None, 1).position
        commit(index, operation, item(2), item(3))
        half, end = (index.feed.read(operation.store_id, None, n).position for n in (2, 3))
        while not index.feed.expire(LATER):
            pass
        assert end == index.feed.find_end(operation.store_id)
        assert read(index, operation.store_id, end) == []
        commit(index, operation, item(4))
        assert told(read(index, operation.store_id, end)) == [("STORED", "9.4")]
        for position in (inside, half):
            with pytest.raises(OutOfRange):
                read(index, operation.store_id, position)

    def test_a_deletion_that_is_not_told_wholly_stays(self, index: SqlIndex, operation: Operation) -> None:
        commit(index, operation, *map(item, range(5)))
        index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
        index.garbage.purge_removed(2)
        while not index.feed.expire(LATER):
            pass
        while not index.garbage.purge_removed(2):
            pass
        assert [kind for kind, _ in told(read(index, operation.store_id))] == ["DELETED"] * 5

    def test_another_pack_in_its_place_is_noticed(self, index: SqlIndex, operation: Operation) -> None:
        """An older index was put back, and has gone on by itself."""
        commit(index, operation, item(1))
        good = index.feed.find_end(operation.store_id)
        commit(index, operation, item(2))
        ahead = index.feed.find_end(operation.store_id)
        with index.database.write() as connection:
            connection.execute(delete(change_pack).where(change_pack.c.number == 2))
        with pytest.raises(OutOfRange, match="an older index was put back"):
            read(index, operation.store_id, ahead)
        for number in (3, 4):
            commit(index, operation, item(number))
        with pytest.raises(OutOfRange, match="an older index was put back"):
            read(index, operation.store_id, ahead)
        assert told(read(index, operation.store_id, good)) == [("STORED", "9.3"), ("STORED", "9.4")]

    def test_a_feed_that_was_off_begins_anew(self, index: SqlIndex, operation: Operation) -> None:
        store_id, era = operation.store_id, index.feed.get_era()
        commit(index, operation, *map(item, range(3)))
        index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
        end = index.feed.find_end(store_id)
        index.feed.begin(is_on=True)
        assert index.feed.get_era() == era
        index.feed.begin(is_on=False)
        assert index.feed.get_era() == ""
        commit(index, operation, item(7))
        while not index.garbage.purge_removed(PIECE):
            pass
        index.feed.begin(is_on=True)
        assert index.feed.get_era() not in ("", era)
        for position in (Position(), end):
            with pytest.raises(OutOfRange):
                read(index, store_id, position)
        assert read(index, store_id) == []
        now = index.feed.find_end(store_id)
        commit(index, operation, item(8))
        assert told(read(index, store_id, now)) == told(read(index, store_id)) == [("STORED", "9.8")]
        while not index.feed.expire(None):
            pass
        assert index.feed.count().packs == 1

    def test_the_feed_of_a_deleted_store_goes_with_it(self, index: SqlIndex, operation: Operation) -> None:
        commit(index, operation, *map(item, range(5)))
        while not index.feed.expire(LATER):
            pass
        commit(index, operation, *map(item, range(5, 9)))
        index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
        index.resources.delete_dicom_store(STORE)
        while not index.garbage.purge_store(operation.store_id, PIECE):
            index.garbage.purge_removed(PIECE)
        index.garbage.forget_store(operation.store_id)
        while not index.garbage.purge_removed(PIECE):
            pass
        with index.database.read() as connection:
            assert not connection.execute(select(change_pack)).all()
            assert not connection.execute(select(change_start)).all()

    def test_a_damaged_pack_is_told(self, index: SqlIndex, operation: Operation) -> None:
        commit(index, operation, item(1))
        with index.database.write() as connection:
            connection.execute(update(change_pack).values(data=b"damaged"))
        with pytest.raises(DataLoss):
            read(index, operation.store_id)


def test_what_is_refused_is_not_told(index: SqlIndex, operation: Operation) -> None:
    index.uploads.store_instances(operation.store_id, [item(1)])
    index.uploads.store_instances(operation.store_id, [item(1), item(2)])
    index.uploads.store_instances(operation.store_id, [item(2)], replace=True)
    assert told(read(index, operation.store_id)) == [("STORED", "9.1"), ("STORED", "9.2")]


@pytest.mark.parametrize("index", ["sqlite"], indirect=True)
def test_a_copy_of_the_index_goes_on_with_the_same_positions(
    index: SqlIndex, operation: Operation, sqlite_path: Path, tmp_path: Path
) -> None:
    commit(index, operation, item(1))
    position = index.feed.find_end(operation.store_id)
    commit(index, operation, item(2))
    index.database.shorten_log()
    shutil.copy(sqlite_path, tmp_path / "copy.sqlite")
    copy = SqlIndex(tmp_path / "copy.sqlite")
    assert told(read(copy, operation.store_id, position)) == [("STORED", "9.2")]
    commit(copy, operation, item(3))
    assert told(read(copy, operation.store_id, position)) == [("STORED", "9.2"), ("STORED", "9.3")], "it is recorded"
    copy.close()


@pytest.mark.parametrize("seed", range(3))
def test_packs_keep_any_events(seed: int) -> None:
    chance = random.Random(seed)

    def word() -> str:
        return "".join(chance.choice('ab"\\é𝒳\n') for _ in range(chance.randrange(4)))

    events = [
        Event(chance.choice(list(Kind)), chance.choice(list(Action)), *(word() for _ in range(7)))
        for _ in range(chance.randrange(200))
    ]
    assert unpack_events(pack_events(events)) == events


@pytest.mark.parametrize("data", [b"", b"x", pack_events(())[:-1], pack_events(())[:3]])
def test_what_is_no_pack_is_data_loss(data: bytes) -> None:
    with pytest.raises(DataLoss):
        unpack_events(data)


def test_a_follower_that_reads_while_others_write_misses_nothing(index: SqlIndex, operation: Operation) -> None:
    following, chance = Following(index), random.Random(5)
    for number in range(40):
        commit(index, operation, *(item(8 * number + n, f"1.{number % 3}", f"1.{number % 3}.1") for n in range(3)))
        if chance.random() < 0.3:
            path = ResourcePath(f"1.{number % 3}")
            index.deletion.delete_below(STORE, path, "v1", Method.DELETE_STUDY)
        index.garbage.purge_removed(2)
        following.catch_up(chance.randrange(1, 9))
    while not index.garbage.purge_removed(2):
        pass
    following.catch_up()
    following.compare(operation.store_id)
    assert following.kinds[Kind.STORED] == 120


def test_operations_name_the_action(index: SqlIndex, operation: Operation) -> None:
    commit(index, operation, said(item(1)))
    updating = begin_method(index, Method.UPDATE_STUDY_METADATA)
    (before,) = index.instances.walk_store(operation.store_id)
    replacement = Replacement(before, said(item(1, prefix="patched")), STUDY_SAID, SERIES_SAID)
    index.operations.commit_batch(updating, RUNNER, Batch("a", replacements=(replacement,)))
    (before,) = index.instances.walk_store(operation.store_id)
    healing = begin(index)
    replacement = Replacement(before, said(item(1, prefix="healed")), STUDY_SAID, SERIES_SAID)
    index.operations.commit_batch(healing, RUNNER, Batch("a", replacements=(replacement,)))
    assert [(each.kind, each.action) for each in read(index, operation.store_id)] == [
        (Kind.STORED, Action.IMPORT),
        (Kind.UPDATED, Action.UPDATE),
        (Kind.REPLACED, Action.IMPORT),
    ]
