"""Whatever is called in whatever order, and whatever is killed on the way: counts are those of the rows, and no row
belongs to something that does not exist."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from gantry.errors import Aborted, AlreadyExists, Code, Status, StatusError
from gantry.events import Action, Kind
from gantry.header_packs import pack, unpack
from gantry.index.all_tables import metadata
from gantry.index.sql import SqlIndex
from gantry.index.tables import instance
from gantry.names import DatasetName, DicomStoreName, ResourcePath
from gantry.resources import (
    Batch,
    Change,
    Dataset,
    DicomStore,
    Instance,
    Method,
    Operation,
    Replacement,
    SeriesAttributes,
    StoredInstance,
    StudyAttributes,
)
from gantry.storage.extents import Extent
from tests.index.audit import audit, audit_headers, audit_orphans, audit_terms
from tests.index.following import Following
from tests.index.values import RUNNER, failed, item, said, selected

DATASETS = [DatasetName("p", "l", name) for name in "ab"]
STORES = [DicomStoreName("p", "l", name, store) for name in "ab" for store in "xy"]
CLASSES = ("STANDARD", "NEARLINE", "ARCHIVE")
STEPS = 300
PIECE = 3
LATER = datetime.now(UTC) + timedelta(days=400)
FINISHED = Status(Code.UNKNOWN, "some failed")


class Killed(Exception):
    """The process ends here: what its transaction has done is undone."""


@contextmanager
def killed_after(index: SqlIndex, statements: int) -> Iterator[None]:
    """The process ends after so many statements of a writer, if it runs as many."""
    left = statements

    def kill(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == -1:  # once: what comes then undoes the transaction
            raise Killed

    event.listen(index.database.writer, "before_cursor_execute", kill)
    try:
        yield
    except Killed:
        pass
    finally:
        event.remove(index.database.writer, "before_cursor_execute", kill)


class Calls:
    """Random calls; a few datasets, stores and UIDs, so that they meet."""

    def __init__(self, index: SqlIndex, seed: int) -> None:
        self.index, self.random = index, random.Random(seed)
        self.keys = iter(range(1_000_000))
        self.segments: dict[int, list[str]] = defaultdict(list)
        self.running: list[Operation] = []
        self.old: list[tuple[int, StoredInstance]] = []
        self.done: Counter[str] = Counter()

    def step(self) -> None:
        name = self.random.choice(VERBS)
        with suppress(StatusError):
            getattr(self, name)()
            self.done[name] += 1

    # --- what is chosen

    def store(self) -> DicomStoreName:
        return self.random.choice(STORES)

    def store_id(self) -> int:
        return self.index.resources.get_dicom_store(self.store()).id

    def new(self, store_id: int, count: int) -> list[Instance]:
        """Each with UIDs of its own, a key of its own, and sometimes a description."""
        found: dict[tuple[str, str, str], Instance] = {}
        for _ in range(count):
            study, series = self.random.choice("12"), self.random.choice("12")
            each = item(self.random.randrange(8), f"1.{study}", f"1.{study}.{series}")
            size = self.random.randrange(9000)
            each = each._replace(
                blob_key=self.key(store_id, size), storage_class=self.random.choice(CLASSES), size=size
            )
            found[each.uids] = self.describe(each)
        return self.share_packs(list(found.values()))

    def share_packs(self, new: list[Instance]) -> list[Instance]:
        """Now and then the headers of all of them are in one pack."""
        if self.random.random() < 0.5:
            return new
        described = [each for each in new if each.description is not None]
        together = pack([unpack(each.description.pack)[0] for each in described if each.description is not None])
        for number, each in enumerate(described):
            assert each.description is not None
            said = each.description._replace(pack=together, packed=len(described), number=number)
            new[new.index(each)] = each._replace(description=said)
        return new

    def key(self, store_id: int, size: int) -> str:
        """A blob of its own or a place in one of the segments that are written to, each place once."""
        number = next(self.keys)
        if self.random.random() < 0.3:
            return f"k/{number}"
        open_segments = self.segments[store_id]
        if len(open_segments) < 3:
            open_segments.append(f"main/{store_id}/{number}.seg")
        return str(Extent(self.random.choice(open_segments), 12288 * number, size))

    def sealed(self, store_id: int) -> tuple[str, ...]:
        """Segments that were written to until now, and one that has never held anything."""
        return *self.segments.pop(store_id, ()), f"main/{store_id}/{next(self.keys)}.seg"

    def describe(self, each: Instance) -> Instance:
        if self.random.random() < 0.2:
            return each
        study = StudyAttributes(
            self.random.choice(("Doe^John", "Roe^Jane", "")), study_date=self.random.choice(("", "20240105"))
        )
        series = SeriesAttributes(self.random.choice(("CT", "MR\\PT", "")))
        described = said(each, study, series)
        # It says whose it is, and two headers are never the same.
        header = pack([f"{each.path} {next(self.keys)}".encode()])
        assert described.description is not None
        return described._replace(description=described.description._replace(pack=header))

    def path(self) -> ResourcePath:
        study = self.random.choice("12")
        series = self.random.choice(("", f"1.{study}.1", f"1.{study}.2"))
        return ResourcePath(f"1.{study}", series)

    def operation(self) -> Operation:
        if not self.running:
            self.create_operation()
            self.claim()
        return self.random.choice(self.running)

    def some_stored(self, store_id: int) -> list[StoredInstance]:
        stored = list(self.index.instances.walk_store(store_id))
        return self.random.sample(stored, min(len(stored), self.random.randrange(1, 5)))

    # --- verbs

    def create_dataset(self) -> None:
        for name in DATASETS:
            with suppress(AlreadyExists):
                self.index.resources.create_dataset(Dataset(name), "v1")

    def delete_dataset(self) -> None:
        if self.random.random() < 0.15:
            self.index.resources.delete_dataset(self.random.choice(DATASETS))

    def create_store(self) -> None:
        for store in STORES:
            with suppress(AlreadyExists):
                self.index.resources.create_dicom_store(DicomStore(store))

    def delete_store(self) -> None:
        if self.random.random() < 0.3:
            self.index.resources.delete_dicom_store(self.store())

    def create_operation(self) -> None:
        store = self.store()
        method = self.random.choice((Method.IMPORT_DICOM_DATA, Method.EXPORT_DICOM_DATA))
        self.index.operations.create_operation(store.parent, "v1", method, {}, str(store))

    def claim(self) -> None:
        claimed = self.index.operations.claim_operation(RUNNER)
        if claimed is not None:
            self.running.append(claimed)

    def claim_again(self) -> None:
        operation = self.operation()
        self.running.remove(operation)
        again = self.index.operations.claim_again(operation, RUNNER)
        if again is not None:
            self.running.append(again)

    def cancel(self) -> None:
        self.index.operations.request_cancel(self.operation().name)

    def cancel_waiting(self) -> None:
        store = self.store()
        made = self.index.operations.create_operation(store.parent, "v1", Method.EXPORT_DICOM_DATA, {}, str(store))
        self.index.operations.request_cancel(made.name)

    def finish(self) -> None:
        operation = self.operation()
        self.running.remove(operation)
        self.index.operations.finish_operation(operation, RUNNER, self.random.choice((None, FINISHED)))

    def import_batch(self) -> None:
        operation, refused = self.operation(), self.random.randrange(2)
        new = self.new(operation.store_id, self.random.randrange(2, 6))
        batch = Batch("a", tuple(new[refused:]), failures=(failed(1),), segments=self.sealed(operation.store_id))
        batch = replace(batch, garbage=tuple(each.blob_key for each in new[:refused]))
        self.index.operations.commit_batch(operation, RUNNER, batch)

    def export_batch(self) -> None:
        batch = Batch("b", success=2, failures=(failed(2),), warnings=(failed(3),))
        self.index.operations.commit_batch(self.operation(), RUNNER, batch)

    def select_batch(self) -> None:
        paths = [(*self.path(),), ("1.1", "1.1.1", f"9.{self.random.randrange(8)}"), ("1.9", "", "")]
        operation = self.operation()
        self.index.operations.commit_batch(operation, RUNNER, Batch("c", selection=selected(*paths)))
        assert len(
            list(self.index.selections.walk_selected(operation.name.id))
        ) == self.index.selections.count_selected(operation.name.id)

    def change_class(self) -> None:
        operation = self.operation()
        changes = []
        for each in self.some_stored(operation.store_id):
            key = self.random.choice((each.blob_key, self.key(operation.store_id, each.size), "late"))
            before = each if key != "late" else each._replace(blob_key="another")
            key = key if key != "late" else self.key(operation.store_id, each.size)
            changes.append(Change(before, self.random.choice(CLASSES), key))
        batch = Batch("d", changes=tuple(changes), segments=self.sealed(operation.store_id))
        self.index.operations.commit_batch(operation, RUNNER, batch)

    def compact(self) -> None:
        for each in self.index.segments.list_sparse(2, 0.9):
            rows = self.index.instances.walk_store(each.store_id)
            inside = [row for row in rows if row.blob_key.startswith(f"{each.key}@")]
            assert len(inside) <= each.live_instances  # rows of what was deleted may be there yet
            moves = [Change(row, row.storage_class, self.key(each.store_id, row.size)) for row in inside]
            if self.random.random() < 0.3:
                self.delete_instance()
            if self.index.segments.is_busy(each.store_id):
                with pytest.raises(Aborted):
                    self.index.segments.move_instances(each.store_id, moves, ())
                continue
            self.index.segments.move_instances(each.store_id, moves, self.sealed(each.store_id))

    def seal(self) -> None:
        self.index.uploads.end_upload(0, self.sealed(self.store_id()))

    def _replacements(self, store_id: int) -> list[Replacement]:
        return [
            Replacement(
                each,
                self.describe(each.to_instance()._replace(blob_key=self.key(store_id, 7), size=7)),
                StudyAttributes("Doe^John"),
                SeriesAttributes("CT"),
            )
            for each in self.some_stored(store_id)
        ]

    def update_batch(self) -> None:
        operation = self.operation()
        batch = Batch(
            "e", replacements=tuple(self._replacements(operation.store_id)), segments=self.sealed(operation.store_id)
        )
        self.index.operations.commit_batch(operation, RUNNER, batch)

    def patch(self) -> None:
        store_id = self.store_id()
        for each in self._replacements(store_id)[:1]:
            self.index.uploads.replace_instance(store_id, each, Action.UPDATE)

    def stow(self) -> None:
        store_id = self.store_id()
        self.index.uploads.store_instances(store_id, self.new(store_id, self.random.randrange(1, 6)))

    def put(self) -> None:
        store_id = self.store_id()
        new = self.new(store_id, self.random.randrange(1, 6))
        stored = self.index.instances.find_stored(store_id, [each.uids for each in new])
        kept = [
            each._replace(storage_class=stored[each.uids].storage_class) if each.uids in stored else each
            for each in new
        ]
        self.index.uploads.store_instances(store_id, kept, replace=True)

    def describe_old(self) -> None:
        """With what was read of them some calls ago."""
        read, self.old = self.old, self.index.description.list_undescribed(5)
        for store_id, each in read:
            self.index.description.describe(store_id, [self.describe(each.to_instance())])

    def forget_headers(self) -> None:
        """Instances without a header count as those of an older version, which nobody has described."""
        with self.index.database.write() as connection:
            connection.execute(update(instance).where(instance.c.pack_id.is_(None)).values(pack_number=None))

    def delete_instance(self) -> None:
        store = self.store()
        for each in self.some_stored(self.index.resources.get_dicom_store(store).id)[:1]:
            self.index.deletion.delete_instance(store, ResourcePath(*each.uids))

    def delete_below(self) -> None:
        store = self.store()
        for each in self.some_stored(self.index.resources.get_dicom_store(store).id)[:1]:
            path = ResourcePath(*each.uids[: self.random.choice((1, 2))])
            self.index.deletion.delete_below(store, path, "v1", Method.DELETE_STUDY)

    def save_search(self) -> None:
        self.index.saved_searches.save_search(self.store(), "who", self.random.choice("mn"), "q")

    def purge_piece(self) -> None:
        self.index.garbage.purge_removed(PIECE)

    def purge_store_piece(self) -> None:
        for number in self.index.garbage.list_deleted_stores()[:1]:
            if self.index.garbage.purge_store(number, PIECE):
                self.index.garbage.forget_store(number)

    def sweep_blobs(self) -> None:
        self.index.garbage.forget_blobs(self.index.garbage.list_blobs(limit=PIECE))

    def expire(self) -> None:
        if self.random.random() < 0.3:
            self.index.retention.expire_operations(LATER, PIECE)

    def expire_changes(self) -> None:
        if self.random.random() < 0.3:
            self.index.feed.expire(LATER, PIECE)

    def purge_operation(self) -> None:
        self.index.retention.purge_operation()

    def purge_all(self) -> None:
        """Everything is deleted, and all that is left of it."""
        for name in DATASETS:
            with suppress(StatusError):
                self.index.resources.delete_dataset(name)
        while self.index.retention.purge_operation():
            pass
        while numbers := self.index.garbage.list_deleted_stores():
            for number in numbers:
                while not self.index.garbage.purge_store(number, PIECE):
                    pass
                self.index.garbage.forget_store(number)
        while not self.index.garbage.purge_removed(PIECE):
            pass
        while keys := self.index.garbage.list_blobs():
            self.index.garbage.forget_blobs(keys)


VERBS = sorted(
    name
    for name in vars(Calls)
    if not name.startswith("_")
    and name
    not in (
        "step",
        "store",
        "store_id",
        "new",
        "share_packs",
        "key",
        "sealed",
        "describe",
        "path",
        "operation",
        "some_stored",
    )
    and name != "purge_all"
)


def check(index: SqlIndex) -> None:
    with index.database.read() as connection:
        audit(connection)
        audit_orphans(connection)
        audit_headers(connection)
        audit_terms(connection)


def run(index: SqlIndex, seed: int, call: Callable[[Calls], None]) -> Calls:
    calls = Calls(index, seed)
    calls.create_dataset()
    calls.create_store()
    following = Following(index)
    for _ in range(STEPS):
        call(calls)
        check(index)
        following.catch_up(calls.random.randrange(1, 6))
    return calls


def rows_left(index: SqlIndex) -> dict[str, int]:
    with index.database.read() as connection:
        counts = {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
            if name not in ("generation", "change_feed")  # one row each, that says which index it is
        }
    return {name: count for name, count in counts.items() if count}


def seeds(*numbers: int) -> list[Any]:
    """The first of some seeds, and the others for the slow run."""
    return [numbers[0], *(pytest.param(number, marks=pytest.mark.slow) for number in numbers[1:])]


TOLD = (
    *("import_batch", "stow", "put", "patch", "update_batch", "change_class", "compact", "create_operation", "claim"),
    *("delete_instance", "delete_below", "purge_piece", "expire_changes", "sweep_blobs"),
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(0, 1, 2, 3))
def test_everything_is_told_once_in_any_order(index: SqlIndex, seed: int) -> None:
    """Stores stay; three of four calls change instances."""
    calls, following = Calls(index, seed), Following(index)
    calls.create_dataset()
    calls.create_store()
    for _ in range(STEPS):
        with suppress(StatusError):
            getattr(calls, calls.random.choice(TOLD))()
        if calls.random.random() < 0.3:
            following.catch_up(calls.random.randrange(1, 6))
    while not index.garbage.purge_removed(PIECE):
        pass
    following.catch_up()
    for store_id in index.segments.list_stores():
        following.compare(store_id)
    assert len(following.kinds) == len(Kind), "some kinds of events never came"
    check(index)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(0, 1, 2, 3))
def test_calls_in_any_order(index: SqlIndex, seed: int) -> None:
    calls = run(index, seed, Calls.step)
    assert set(VERBS) - set(calls.done) == set(), "a call never came to its end, so nothing is known of it"
    calls.purge_all()
    assert rows_left(index) == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(100, 101, 102, 103))
def test_calls_that_are_killed_after_any_statement(index: SqlIndex, seed: int) -> None:
    def call(calls: Calls) -> None:
        with killed_after(index, calls.random.choice((*range(12), 1000, 1000, 1000))):
            calls.step()

    run(index, seed, call).purge_all()
    assert rows_left(index) == {}
