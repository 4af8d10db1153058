"""What every index promises, whatever database it is in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from gantry.counters import ProgressCounter, Transfer
from gantry.errors import Aborted, AlreadyExists, Code, NotFound, ResourceExhausted, Status
from gantry.header_packs import unpack
from gantry.holdings import Holding, RecentStore
from gantry.iam.policies import principal
from gantry.iam.sessions import Session
from gantry.index import logs, saved_searches
from gantry.index.refusals import OutcomeUnknown
from gantry.index.sql import SqlIndex
from gantry.index.tables import instance
from gantry.languages import use_language
from gantry.log_entries import LogFilter, Severity
from gantry.names import DatasetName, DicomStoreName, OperationName, ResourcePath
from gantry.queries import Operator
from gantry.reasons import Reason
from gantry.resources import (
    CANCELLED,
    Batch,
    Change,
    Committed,
    Dataset,
    DicomStore,
    Failure,
    Method,
    Operation,
    Replacement,
    SeriesAttributes,
    StudyAttributes,
)
from tests.index.values import (
    DATASET,
    LOCATION,
    RUNNER,
    SERIES_SAID,
    SPREAD,
    STORE,
    STUDY_SAID,
    age,
    begin,
    failed,
    found_by,
    item,
    metrics_of,
    said,
    selected,
    stored,
)


class TestIndex:
    """``index`` is new and empty."""

    # Datasets ---------------------------------------------------------------------------------------------------------

    def test_a_dataset_is_read_as_it_was_created(self, index: SqlIndex) -> None:
        value = Dataset(DATASET, "Europe/Berlin", "projects/p/keys/k")
        index.resources.create_dataset(value, "v1")
        assert index.resources.get_dataset(DATASET) == value

    def test_creating_a_dataset_gives_an_operation_that_is_done(self, index: SqlIndex) -> None:
        made = index.resources.create_dataset(Dataset(DATASET), "v1beta1")
        assert (made.done, made.method, made.version) == (True, Method.CREATE_DATASET, "v1beta1")
        assert index.operations.get_operation(made.name) == made
        assert index.operations.claim_operation(RUNNER) is None

    def test_names_of_datasets_are_unique_inside_a_location(self, index: SqlIndex) -> None:
        index.resources.create_dataset(Dataset(DATASET), "v1")
        with pytest.raises(AlreadyExists):
            index.resources.create_dataset(Dataset(DATASET, "UTC"), "v1")
        index.resources.create_dataset(Dataset(DatasetName("p", "eu", "d")), "v1")
        index.resources.create_dataset(Dataset(DatasetName("q", "us-central1", "d")), "v1")
        assert index.resources.get_dataset(DATASET).time_zone == ""

    def test_a_refused_dataset_leaves_no_operation(self, index: SqlIndex) -> None:
        index.resources.create_dataset(Dataset(DATASET), "v1")
        with pytest.raises(AlreadyExists):
            index.resources.create_dataset(Dataset(DATASET), "v1")
        assert len(index.operations.list_operations(DATASET, 10)) == 1

    def test_datasets_are_listed_in_pages(self, index: SqlIndex) -> None:
        for name in ("b", "é", "a", "C", "c"):
            index.resources.create_dataset(Dataset(DatasetName("p", "us-central1", name)), "v1")
        index.resources.create_dataset(Dataset(DatasetName("p", "eu", "other")), "v1")
        assert [found.name.dataset for found in index.resources.list_datasets(LOCATION, 10)] == [
            "C",
            "a",
            "b",
            "c",
            "é",
        ]
        assert [found.name.dataset for found in index.resources.list_datasets(LOCATION, 2)] == ["C", "a"]
        assert [found.name.dataset for found in index.resources.list_datasets(LOCATION, 2, "a")] == ["b", "c"]
        assert index.resources.list_datasets(LOCATION, 2, "é") == []

    def test_a_dataset_can_be_changed(self, index: SqlIndex) -> None:
        index.resources.create_dataset(Dataset(DATASET), "v1")
        index.resources.change_dataset(DATASET, lambda old: replace(old, time_zone="UTC", kms_key_name="k"))
        assert index.resources.get_dataset(DATASET) == Dataset(DATASET, "UTC", "k")

    def test_a_dataset_goes_with_its_stores_and_operations(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),), failures=(failed(1),)))
        index.resources.delete_dataset(DATASET)
        for gone in (
            lambda: index.resources.get_dataset(DATASET),
            lambda: index.resources.get_dicom_store(STORE),
            lambda: index.operations.get_operation(operation.name),
            lambda: index.operations.list_operations(DATASET, 1),
            lambda: index.resources.list_dicom_stores(DATASET, 1),
            lambda: index.resources.delete_dataset(DATASET),
            lambda: index.resources.change_dataset(DATASET, lambda old: old),
        ):
            with pytest.raises(NotFound):
                gone()
        assert index.logs.find_failures(LogFilter("all"), 10) == ([], None)
        assert index.garbage.list_deleted_stores() == [operation.store_id]
        assert index.operations.claim_operation("runner-2") is None

    def test_the_runner_of_a_deleted_dataset_can_write_no_more(self, index: SqlIndex, operation: Operation) -> None:
        index.resources.delete_dataset(DATASET)
        with pytest.raises(Aborted):
            index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
        with pytest.raises(Aborted):
            index.operations.finish_operation(operation, RUNNER, None)

    def test_a_dataset_can_be_made_again_and_is_empty_then(self, index: SqlIndex, operation: Operation) -> None:
        index.resources.delete_dataset(DATASET)
        index.resources.create_dataset(Dataset(DATASET), "v1")
        assert index.resources.list_dicom_stores(DATASET, 10) == []
        assert [found.method for found in index.operations.list_operations(DATASET, 10)] == [Method.CREATE_DATASET]

    # DICOM stores -----------------------------------------------------------------------------------------------------

    def test_a_store_is_read_as_it_was_created_and_changed(self, index: SqlIndex, store: DicomStore) -> None:
        value = DicomStore(
            STORE, store.id, {"a": "é"}, {"pubsub_topic": "t"}, [{"pubsub_topic": "u"}], [{"bigquery_destination": {}}]
        )
        assert store == DicomStore(STORE, store.id)
        index.resources.change_dicom_store(STORE, lambda old: value)
        assert index.resources.get_dicom_store(STORE) == value

    def test_names_of_stores_are_unique_inside_a_dataset(self, index: SqlIndex, store: DicomStore) -> None:
        other = DicomStoreName("p", "us-central1", "e", "s")
        with pytest.raises(AlreadyExists):
            index.resources.create_dicom_store(DicomStore(STORE, labels={"a": "1"}))
        with pytest.raises(NotFound):
            index.resources.create_dicom_store(DicomStore(other))
        index.resources.create_dataset(Dataset(other.parent), "v1")
        index.resources.create_dicom_store(DicomStore(other))
        assert index.resources.get_dicom_store(other).id != store.id
        assert index.resources.get_dicom_store(STORE).labels == {}

    def test_stores_are_listed_in_pages_without_the_deleted_ones(self, index: SqlIndex, store: DicomStore) -> None:
        for name in ("a", "z", "B", "gone"):
            index.resources.create_dicom_store(DicomStore(replace(STORE, store=name)))
        index.resources.delete_dicom_store(replace(STORE, store="gone"))
        assert [found.name.store for found in index.resources.list_dicom_stores(DATASET, 10)] == ["B", "a", "s", "z"]
        assert [found.name.store for found in index.resources.list_dicom_stores(DATASET, 2, "B")] == ["a", "s"]

    def test_a_store_that_is_made_again_has_a_new_number_and_no_instances(
        self, index: SqlIndex, operation: Operation
    ) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
        index.resources.delete_dicom_store(STORE)
        with pytest.raises(NotFound):
            index.resources.get_dicom_store(STORE)
        index.resources.create_dicom_store(DicomStore(STORE))
        again = index.resources.get_dicom_store(STORE)
        assert again.id > operation.store_id
        assert stored(index, again) == []
        assert index.instances.find_stored(again.id, [item(1).uids]) == {}

    def test_a_number_is_never_used_again(self, index: SqlIndex, store: DicomStore) -> None:
        index.resources.delete_dicom_store(STORE)
        assert index.garbage.purge_store(store.id)
        index.garbage.forget_store(store.id)
        index.resources.create_dicom_store(DicomStore(STORE))
        assert index.resources.get_dicom_store(STORE).id > store.id

    def test_a_store_that_is_not_there(self, index: SqlIndex, store: DicomStore) -> None:
        none = replace(STORE, store="none")
        for call in (index.resources.get_dicom_store, index.resources.delete_dicom_store):
            with pytest.raises(NotFound):
                call(none)
        with pytest.raises(NotFound):
            index.resources.change_dicom_store(none, lambda old: old)
        with pytest.raises(NotFound):
            index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {}, str(none))

    def test_a_deleted_store_is_purged_in_steps(self, index: SqlIndex, operation: Operation) -> None:
        others = DicomStoreName("p", "us-central1", "d", "kept")
        index.resources.create_dicom_store(DicomStore(others))
        kept = index.resources.get_dicom_store(others)
        index.operations.commit_batch(
            operation, RUNNER, Batch("a", tuple(item(n, series=f"1.{n % 2}") for n in range(5)))
        )
        other = index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {}, str(others))
        index.operations.claim_operation(RUNNER)
        index.operations.commit_batch(index.operations.get_operation(other.name), RUNNER, Batch("a", (item(1),)))
        index.resources.delete_dicom_store(STORE)
        assert index.garbage.list_deleted_stores() == [operation.store_id]
        assert [index.garbage.purge_store(operation.store_id, 2) for _ in range(7)] == [False] * 6 + [True]
        assert index.garbage.purge_store(operation.store_id, 2)
        index.garbage.forget_store(operation.store_id)
        assert index.garbage.list_deleted_stores() == []
        assert stored(index, kept) == [item(1)]

    def test_a_living_store_is_not_forgotten(self, index: SqlIndex, store: DicomStore) -> None:
        index.garbage.forget_store(store.id)
        assert index.resources.get_dicom_store(STORE) == store

    # Operations: claiming ---------------------------------------------------------------------------------------------

    def test_an_operation_is_read_as_it_was_created(self, index: SqlIndex, store: DicomStore) -> None:
        request = {"uri": "gs://b/é*", "n": 1}
        made = index.operations.create_operation(DATASET, "v1beta1", Method.IMPORT_DICOM_DATA, request, str(STORE))
        assert index.operations.get_operation(made.name) == made
        assert (made.request, made.version, made.method) == (request, "v1beta1", Method.IMPORT_DICOM_DATA)
        assert (made.store, made.store_id) == (STORE, store.id)
        assert (made.done, made.attempt, made.counter, made.checkpoint) == (False, 0, ProgressCounter(), "")

    def test_an_operation_belongs_to_its_dataset(self, index: SqlIndex, operation: Operation) -> None:
        other = DatasetName("p", "us-central1", "other")
        index.resources.create_dataset(Dataset(other), "v1")
        with pytest.raises(NotFound):
            index.operations.get_operation(OperationName(other, operation.name.id))
        with pytest.raises(NotFound):
            index.operations.request_cancel(OperationName(other, operation.name.id))
        for number in (0, 7, 2**63 - 1):
            with pytest.raises(NotFound):
                index.operations.get_operation(OperationName(DATASET, number))

    def test_operations_are_read_by_their_numbers_newest_first(self, index: SqlIndex, operation: Operation) -> None:
        other = begin(index)
        index.operations.commit_batch(other, RUNNER, Batch("a", failures=(failed(1),)))
        index.operations.finish_operation(other, RUNNER, failed(1).status)
        numbers = [operation.name.id, 1, other.name.id]
        wanted = [index.operations.get_operation(name) for name in (other.name, operation.name)]
        assert index.operations.get_operations(DATASET, numbers) == wanted
        assert index.operations.get_operations(DatasetName("p", "us-central1", "e"), numbers) == []
        assert index.operations.get_operations(DATASET, []) == []

    def test_the_oldest_operation_is_claimed_first(self, index: SqlIndex, store: DicomStore) -> None:
        made = [
            index.operations.create_operation(DATASET, "v1", Method.EXPORT_DICOM_DATA, {}, str(STORE)) for _ in range(5)
        ]
        claimed = [index.operations.claim_operation(RUNNER) for _ in made]
        assert [found and found.name.id for found in claimed] == sorted(found.name.id for found in made)
        assert index.operations.claim_operation(RUNNER) is None

    def test_another_runner_takes_over_and_the_first_one_can_write_no_more(
        self, index: SqlIndex, operation: Operation
    ) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
        taken = index.operations.claim_operation("runner-2")
        assert taken is not None
        assert (taken.name, taken.attempt, taken.checkpoint) == (operation.name, operation.attempt + 1, "a")
        before = index.operations.get_operation(operation.name)
        with pytest.raises(Aborted):
            index.operations.commit_batch(operation, RUNNER, Batch("b", (item(2),), garbage=("g",)))
        with pytest.raises(Aborted):
            index.operations.finish_operation(operation, RUNNER, None, (failed(1),))
        assert index.operations.get_operation(operation.name) == before
        assert (len(list(index.instances.walk_store(operation.store_id))), index.garbage.list_blobs()) == (1, [])
        assert index.operations.commit_batch(taken, "runner-2", Batch("b", (item(2),))) == Committed(False)

    def test_what_is_done_is_claimed_by_nobody(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.finish_operation(operation, RUNNER, None)
        assert index.operations.claim_operation("runner-2") is None

    def test_a_runner_meets_its_own_operation_only_once(self, index: SqlIndex, operation: Operation) -> None:
        assert index.operations.claim_operation(RUNNER) is None

    # Operations: committing -------------------------------------------------------------------------------------------

    def test_a_batch_is_committed_whole(self, index: SqlIndex, operation: Operation) -> None:
        batch = Batch(
            checkpoint="k",
            instances=(item(1), item(2, "1.3", "1.3.1")),
            success=3,
            failures=(failed(1), failed(2, Code.DATA_LOSS)),
            listed=9,
            blob_prefix="1/2/3",
            garbage=("g1", "g2"),
            transfer=Transfer(5 << 40, 3),
        )
        assert index.operations.commit_batch(operation, RUNNER, batch) == Committed(False, logged=2)
        now = index.operations.get_operation(operation.name)
        assert (now.counter, now.counter.pending) == (ProgressCounter(9, 5, 2), 2)
        assert now.transfer == Transfer(5 << 40, 3)
        assert (now.checkpoint, now.blob_prefix) == ("k", "1/2/3")
        assert [entry.failure for entry in index.logs.list_failures(operation.name, 10)] == list(batch.failures)
        assert [found.to_instance() for found in index.instances.walk_store(operation.store_id)] == list(
            batch.instances
        )
        assert sorted(index.garbage.list_blobs()) == ["g1", "g2"]

    def test_counters_add_up_and_listed_never_falls(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),), listed=10))
        index.operations.commit_batch(operation, RUNNER, Batch("b", success=2, failures=(failed(1),), listed=4))
        assert index.operations.get_operation(operation.name).counter == ProgressCounter(10, 3, 1)
        assert index.operations.get_operation(operation.name).counter.pending == 6

    def test_what_was_transferred_adds_up(self, index: SqlIndex, operation: Operation) -> None:
        assert operation.transfer == Transfer(0, 0)
        for number, transfer in enumerate((Transfer(1000, 2), Transfer(), Transfer(7, 1))):
            index.operations.commit_batch(operation, RUNNER, Batch(str(number), success=1, transfer=transfer))
        assert index.operations.get_operation(operation.name).transfer == Transfer(1007, 3)
        index.operations.finish_operation(operation, RUNNER, None)
        assert index.operations.get_operation(operation.name).transfer == Transfer(1007, 3)

    @pytest.mark.parametrize("taken", ["in the store", "twice in the batch"])
    def test_a_batch_with_an_instance_that_is_there_already_changes_nothing(
        self, index: SqlIndex, operation: Operation, taken: str
    ) -> None:
        index.operations.commit_batch(
            operation, RUNNER, Batch("a", (item(1),), failures=(failed(1),), listed=1, blob_prefix="1")
        )
        before = index.operations.get_operation(operation.name)
        double = item(1, prefix="c") if taken == "in the store" else item(3, prefix="c")
        batch = Batch(
            "b", (item(3), item(4, "1.9", "1.9.1"), double), 5, (failed(2),), 99, "2", ("g",), selected(("1.2", "", ""))
        )
        batch = replace(batch, transfer=Transfer(10, 1))
        with pytest.raises(AlreadyExists):
            index.operations.commit_batch(operation, RUNNER, batch)
        assert index.operations.get_operation(operation.name) == before
        assert [found.to_instance() for found in index.instances.walk_store(operation.store_id)] == [item(1)]
        assert len(index.logs.list_failures(operation.name, 10)) == 1
        assert index.garbage.list_blobs() == []
        assert index.selections.count_selected(operation.name.id) == 0

    @pytest.mark.parametrize("name", [b"plain", "é/日本".encode(), b"\xff\xfe/\x80.dcm", b"a\nb", bytes(range(1, 256))])
    def test_checkpoints_keep_every_byte_of_a_key(self, index: SqlIndex, operation: Operation, name: bytes) -> None:
        key = os.fsdecode(name)
        index.operations.commit_batch(operation, RUNNER, Batch(key))
        assert index.operations.get_operation(operation.name).checkpoint == key

    def test_a_batch_without_a_checkpoint_keeps_the_last_one(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("", success=1))
        assert index.operations.get_operation(operation.name).checkpoint == ""
        index.operations.commit_batch(operation, RUNNER, Batch("a", blob_prefix="p"))
        index.operations.commit_batch(operation, RUNNER, Batch("", success=1))
        now = index.operations.get_operation(operation.name)
        assert (now.checkpoint, now.blob_prefix, now.counter.success) == ("a", "p", 2)

    def test_garbage_that_is_known_already_is_no_error(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", garbage=("g",)))
        index.operations.commit_batch(operation, RUNNER, Batch("b", garbage=("g", "h")))
        assert sorted(index.garbage.list_blobs()) == ["g", "h"]
        assert (index.garbage.list_blobs(limit=1), index.garbage.list_blobs("g"), index.garbage.list_blobs("h")) == (
            ["g"],
            ["h"],
            [],
        )
        index.garbage.forget_blobs(["g", "none"])
        assert index.garbage.list_blobs() == ["h"]

    def test_a_store_that_was_deleted_meanwhile_takes_nothing(self, index: SqlIndex, operation: Operation) -> None:
        index.resources.delete_dicom_store(STORE)
        index.resources.create_dicom_store(DicomStore(STORE))
        with pytest.raises(NotFound, match="deleted"):
            index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
        index.operations.finish_operation(operation, RUNNER, Status(Code.NOT_FOUND, "gone"))
        assert index.operations.get_operation(operation.name).done
        assert stored(index, index.resources.get_dicom_store(STORE)) == []

    # Operations: ending -----------------------------------------------------------------------------------------------

    def test_a_request_to_cancel_is_told_with_the_next_batch(self, index: SqlIndex, operation: Operation) -> None:
        assert index.operations.commit_batch(operation, RUNNER, Batch("a")) == Committed(False)
        index.operations.request_cancel(operation.name)
        assert index.operations.get_operation(operation.name).cancel_requested
        assert index.operations.commit_batch(operation, RUNNER, Batch("b")) == Committed(True)

    def test_one_that_waits_for_a_runner_is_cancelled_at_once(self, index: SqlIndex, store: DicomStore) -> None:
        request = {"uri": "gs://b/**", "storage_class": "STANDARD"}
        waiting = index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, request, str(STORE))
        assert index.operations.request_cancel(waiting.name) == 1
        done = index.operations.get_operation(waiting.name)
        assert (done.done, done.cancel_requested, done.error) == (True, True, CANCELLED)
        (entry,) = index.logs.list_failures(waiting.name, 10)
        assert entry.failure == Failure("gs://b/**", CANCELLED)
        assert index.operations.claim_operation(RUNNER) is None
        assert index.operations.request_cancel(waiting.name) == 0

    def test_one_that_is_tried_again_keeps_its_counts(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", success=3, listed=9))
        again = index.operations.claim_again(operation, RUNNER)
        assert again is not None and (again.attempt, again.counter) == (2, ProgressCounter(9, 3, 0))

    def test_a_runner_hears_of_a_cancel_whenever_it_asks(self, index: SqlIndex, operation: Operation) -> None:
        assert not index.operations.cancel_requested(operation.name)
        assert index.operations.request_cancel(operation.name) == 0
        assert index.operations.cancel_requested(operation.name)
        assert not index.operations.get_operation(operation.name).done
        assert not index.operations.cancel_requested(OperationName(DATASET, 7))

    def test_cancelling_what_is_done_changes_nothing(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.finish_operation(operation, RUNNER, None)
        before = index.operations.get_operation(operation.name)
        index.operations.request_cancel(operation.name)
        assert index.operations.get_operation(operation.name) == before

    def test_an_operation_ends_once(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.finish_operation(operation, RUNNER, None)
        done = index.operations.get_operation(operation.name)
        assert (done.done, done.error) == (True, None)
        assert done.end_time is not None
        assert done.end_time >= done.create_time
        with pytest.raises(Aborted):
            index.operations.finish_operation(operation, RUNNER, Status(Code.INTERNAL, "again"))
        with pytest.raises(Aborted):
            index.operations.commit_batch(operation, RUNNER, Batch("a"))

    def test_an_error_comes_with_its_first_failures(self, index: SqlIndex, operation: Operation) -> None:
        failures = tuple(failed(number) for number in range(15))
        index.operations.commit_batch(operation, RUNNER, Batch("a", failures=failures))
        index.operations.finish_operation(operation, RUNNER, Status(Code.UNKNOWN, "é"), (failed(99),))
        done = index.operations.get_operation(operation.name)
        assert done.error == Status(Code.UNKNOWN, "é")
        assert done.samples == failures[:10]
        assert done.counter.failure == 15
        assert index.operations.list_operations(DATASET, 1) == [done]

    def test_failures_are_numbered_over_all_batches_and_read_in_pages(
        self, index: SqlIndex, operation: Operation
    ) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", failures=(failed(5), failed(4))))
        index.operations.commit_batch(operation, RUNNER, Batch("b", failures=(failed(6, Code.DATA_LOSS),)))
        index.operations.finish_operation(operation, RUNNER, None, (failed(0, Code.INTERNAL),))
        entries = index.logs.list_failures(operation.name, 10)
        assert [entry.seq for entry in entries] == [1, 2, 3, 4]
        assert [entry.failure.resource for entry in entries] == ["gs://b/5", "gs://b/4", "gs://b/6", "gs://b/0"]
        assert index.logs.list_failures(operation.name, 2) == entries[:2]
        assert index.logs.list_failures(operation.name, 2, after=2) == entries[2:]
        assert index.logs.list_failures(operation.name, 2, after=4) == []
        codes = {code for code, _ in index.logs.list_failure_kinds(operation.name)}
        assert codes == {Code.NOT_FOUND, Code.INTERNAL, Code.DATA_LOSS}

    def test_operations_are_listed_newest_first_in_pages(self, index: SqlIndex, store: DicomStore) -> None:
        for method in (Method.IMPORT_DICOM_DATA, Method.EXPORT_DICOM_DATA, Method.IMPORT_DICOM_DATA):
            begin_with = index.operations.create_operation(DATASET, "v1", method, {}, str(STORE))
        index.operations.claim_operation(RUNNER)
        listed = index.operations.list_operations(DATASET, 10)
        ids = [found.name.id for found in listed]
        assert ids == sorted(ids, reverse=True)
        assert (len(listed), begin_with in listed) == (4, True)
        assert index.operations.list_operations(DATASET, 2) == listed[:2]
        assert index.operations.list_operations(DATASET, 10, before=ids[1]) == listed[2:]
        assert index.operations.list_open(10) == listed[:3] and index.operations.list_open(2) == listed[:2]

    def test_operations_are_filtered(self, index: SqlIndex, operation: Operation) -> None:
        done = [found.method for found in index.operations.list_operations(DATASET, 10, done=True)]
        open_ = [found.method for found in index.operations.list_operations(DATASET, 10, done=False)]
        assert (done, open_) == ([Method.CREATE_DATASET], [Method.IMPORT_DICOM_DATA])
        found = index.operations.list_operations(DATASET, 10, method=Method.IMPORT_DICOM_DATA.value)
        assert [value.name for value in found] == [operation.name]
        assert index.operations.list_operations(DATASET, 10, done=True, method=Method.IMPORT_DICOM_DATA.value) == []

    # Instances --------------------------------------------------------------------------------------------------------

    def test_the_whole_triple_is_the_identity(self, index: SqlIndex, operation: Operation) -> None:
        same_uid = (item(1), item(1, "1.2", "1.2.2"), item(1, "1.3", "1.2.1"))
        index.operations.commit_batch(operation, RUNNER, Batch("a", same_uid))
        assert {found.uids for found in index.instances.walk_store(operation.store_id)} == {
            found.uids for found in same_uid
        }

    def test_only_instances_that_are_stored_are_found(self, index: SqlIndex, operation: Operation) -> None:
        there = (item(1), item(2, "1.2", "1.2.2"), item(3, "1.3", "1.2.1"))
        index.operations.commit_batch(operation, RUNNER, Batch("a", there))
        asked = [
            *there,
            *(item(2), item(1, "1.2", "1.2.2"), item(1, "1.3", "1.2.1"), item(1, "1.9", "1.2.1"), item(1, "1.2", "9")),
        ]
        uids = [found.uids for found in asked]
        found = index.instances.find_stored(operation.store_id, uids)
        assert {key: each.to_instance() for key, each in found.items()} == {each.uids: each for each in there}
        assert list(index.instances.walk_store(operation.store_id)) == sorted(
            found.values(), key=lambda each: each.series_id
        )
        assert index.instances.find_stored(operation.store_id + 1, uids) == {}
        assert index.instances.find_stored(operation.store_id, []) == {}

    def test_a_walk_can_be_taken_up_after_every_position(self, index: SqlIndex, operation: Operation) -> None:
        items = [item(number, f"1.{number % 2}", f"1.{number % 2}.{number % 5}") for number in range(30)]
        for start in range(0, 30, 7):
            index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(items[start : start + 7])))
        walk = list(index.instances.walk_store(operation.store_id))
        assert sorted(found.to_instance() for found in walk) == sorted(items)
        for number, found in enumerate(walk):
            assert list(index.instances.walk_store(operation.store_id, found.position)) == walk[number + 1 :]

    def test_a_walk_keeps_its_order_when_instances_come_in(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(item(number) for number in range(5, 9))))
        before = list(index.instances.walk_store(operation.store_id))
        index.operations.commit_batch(operation, RUNNER, Batch("b", (item(1), item(99), item(1, "1.1", "1.1.1"))))
        after = list(index.instances.walk_store(operation.store_id))
        assert [entry for entry in after if entry in before] == before

    def test_stores_do_not_see_each_other(self, index: SqlIndex, operation: Operation) -> None:
        index.resources.create_dicom_store(DicomStore(replace(STORE, store="other")))
        other = index.resources.get_dicom_store(replace(STORE, store="other"))
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
        assert (stored(index, other), index.instances.count_in_store(other.id)) == ([], 0)
        assert index.instances.count_in_store(operation.store_id) == 1

    @pytest.mark.parametrize(
        ("paths", "expected"),
        [
            ([("1.2", "", "")], [1, 2, 3, 4]),
            ([("1.2", "5", "")], [1, 2]),
            ([("1.2", "5", "9.1")], [1]),
            ([("1.2", "5", "9.1"), ("1.3", "", "")], [1, 5, 6]),
            ([("1.2", "5", "9.1"), ("1.2", "5", "")], [1, 2]),
            ([("1.2", "5", "9.1"), ("1.2", "6", "9.3"), ("1.3", "5", "")], [1, 3, 5]),
            ([("1.2", "5", "9.5")], []),
            ([("1.9", "", "")], []),
            ([], []),
        ],
    )
    def test_a_selection_names_studies_series_and_instances(
        self, index: SqlIndex, operation: Operation, paths: list[tuple[str, str, str]], expected: list[int]
    ) -> None:
        items = [
            *(item(1, "1.2", "5"), item(2, "1.2", "5"), item(3, "1.2", "6"), item(4, "1.2", "6")),
            *(item(5, "1.3", "5"), item(6, "1.3", "6"), item(7, "1.4", "5")),
        ]
        index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(items)))
        index.operations.commit_batch(operation, RUNNER, Batch("b", selection=selected(*paths)))
        number = operation.name.id
        walk = list(index.selections.walk_selected(number))
        assert [found.to_instance() for found in walk] == [
            found for found in items if int(found.sop_instance_uid[2:]) in expected
        ]
        assert index.selections.count_selected(number) == len(expected)
        for at, found in enumerate(walk):
            assert list(index.selections.walk_selected(number, found.position)) == walk[at + 1 :]

    def test_a_path_that_names_nothing_is_a_warning_and_no_failure(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1, "1.2", "5"),)))
        nothing = [("1.9", "", ""), ("1.2", "6", ""), ("1.2", "5", "9.9"), ("1.2", "6", "9.1"), ("1.9", "5", "9.1")]
        batch = Batch("b", failures=(failed(1),), selection=selected(("1.2", "5", "9.1"), *nothing, nothing[0]))
        assert index.operations.commit_batch(operation, RUNNER, batch).logged == 7
        entries = index.logs.list_failures(operation.name, 10)
        assert [entry.severity for entry in entries] == [Severity.ERROR, *[Severity.WARNING] * 6]
        assert [entry.failure.resource for entry in entries[1:]] == [f"line {n}" for n in range(1, 7)]
        assert {entry.failure.status.code for entry in entries[1:]} == {Code.NOT_FOUND}
        assert entries[3].failure.status.message.startswith("studies/1.2/series/5/instances/9.9 names nothing")
        (kind,) = index.logs.list_failure_kinds(operation.name)
        assert kind == (failed(1).status.code, failed(1).status.reason)
        assert index.logs.get_first_failure(operation.name) == failed(1)
        index.operations.finish_operation(operation, RUNNER, Status(Code.UNKNOWN, "some failed"))
        done = index.operations.get_operation(operation.name)
        assert (done.counter.failure, done.samples) == (1, (failed(1),))

    def test_nothing_is_pending_when_an_operation_has_run_to_its_end(
        self, index: SqlIndex, operation: Operation
    ) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),), failures=(failed(1),), listed=9))
        index.operations.finish_operation(operation, RUNNER, None)
        assert index.operations.get_operation(operation.name).counter == ProgressCounter(2, 1, 1)

    def test_an_operation_that_was_cut_off_tells_what_it_left(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),), listed=9))
        index.operations.finish_operation(operation, RUNNER, Status(Code.CANCELLED, "cancelled"), (failed(1),))
        assert index.operations.get_operation(operation.name).counter.pending == 8

    def test_what_comes_after_a_path_was_read_is_not_selected(self, index: SqlIndex, operation: Operation) -> None:
        """A deleted series does not hand its number, and with it the selection, to another one."""
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1, "1.2", "5"),)))
        index.operations.commit_batch(operation, RUNNER, Batch("b", selection=selected(("1.2", "5", ""))))
        index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
        index.operations.commit_batch(operation, RUNNER, Batch("c", (item(2, "1.3", "6"),)))
        assert list(index.selections.walk_selected(operation.name.id)) == []
        assert index.selections.count_selected(operation.name.id) == 0

    def test_a_selection_belongs_to_its_operation_and_ends_with_it(self, index: SqlIndex, operation: Operation) -> None:
        other = begin(index)
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),), selection=selected(("1.2", "", ""))))
        index.operations.commit_batch(operation, RUNNER, Batch("b", selection=selected(("1.2", "", ""))))
        assert index.selections.count_selected(operation.name.id) == 1
        assert index.selections.count_selected(other.name.id) == 0
        index.operations.finish_operation(operation, RUNNER, None)
        assert index.selections.count_selected(operation.name.id) == 0

    # Contents ---------------------------------------------------------------------------------------------------------

    def test_metrics_are_those_of_what_is_stored(self, index: SqlIndex, operation: Operation) -> None:
        items = (item(1, "1.2", "5"), item(2, "1.2", "5"), item(3, "1.2", "6"), item(4, "1.3", "5"))
        index.operations.commit_batch(operation, RUNNER, Batch("a", items[:1]))
        index.operations.commit_batch(operation, RUNNER, Batch("b", items[1:]))
        with pytest.raises(AlreadyExists):
            index.operations.commit_batch(operation, RUNNER, Batch("c", (item(9), items[0])))
        for path, below in (
            (None, items),
            (ResourcePath("1.2"), items[:3]),
            (ResourcePath("1.2", "5"), items[:2]),
            (ResourcePath("1.3", "5"), items[3:]),
        ):
            assert index.metrics.get_metrics(STORE, path) == metrics_of(below)
        for path in (ResourcePath("1.4"), ResourcePath("1.3", "6")):
            with pytest.raises(NotFound, match=str(path)):
                index.metrics.get_metrics(STORE, path)
        with pytest.raises(NotFound):
            index.metrics.get_metrics(replace(STORE, store="none"))

    def test_growth_and_modalities(self, index: SqlIndex, operation: Operation) -> None:
        items = (item(1, "1.2", "5"), item(2, "1.2", "5"), item(3, "1.3", "6"))
        index.operations.commit_batch(operation, RUNNER, Batch("a", items))
        (grown,) = index.metrics.list_growth(STORE)
        assert (grown.storage_class, grown.instances) == ("NEARLINE", 3)
        assert grown.blob_bytes == sum(found.size for found in items)
        assert index.metrics.list_modalities(STORE) == [("", 2, 3, grown.blob_bytes)]
        index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
        assert sum(found.instances for found in index.metrics.list_growth(STORE)) == 1
        size = items[2].size
        assert index.metrics.list_holdings() == [Holding(STORE, "NEARLINE", 1, size)]
        index.resources.create_dicom_store(DicomStore(replace(STORE, store="empty")))
        day = index.metrics.find_first_day()
        recent = [
            RecentStore(STORE, 1, size, day, {day: 1}),
            RecentStore(replace(STORE, store="empty"), 0, 0, None, {}),
        ]
        assert index.metrics.list_recent(10, day) == recent and index.metrics.list_recent(1, day) == recent[:1]
        assert index.metrics.list_recent(1, day + 1) == [recent[0]._replace(days={})]
        assert day == grown.day and index.metrics.sum_growth(day - 7, day - 1) == {}
        assert index.metrics.sum_growth(day, day) == {"NEARLINE": size}
        unswept = index.garbage.measure_unswept(10)
        assert (unswept.series, unswept.blob_bytes) == (1, sum(found.size for found in items[:2]))
        assert index.garbage.measure_unswept(1).blobs <= 1
        for asked in (index.metrics.list_growth, index.metrics.list_modalities):
            with pytest.raises(NotFound):
                asked(replace(STORE, store="none"))

    def test_datasets_of_everybody(self, index: SqlIndex, store: DicomStore) -> None:
        names = [DatasetName(project, place, "d") for project in ("a", "b") for place in ("eu", "us-central1")]
        for name in names:
            index.resources.create_dataset(Dataset(name), "v1")
        assert index.resources.list_dataset_names(100) == sorted((*names, DATASET), key=str)
        assert index.resources.list_dataset_names(2, names[0]) == names[1:3]

    def test_a_path_names_what_lies_below_it(self, index: SqlIndex, operation: Operation) -> None:
        items = [item(n, f"1.{n % 2}", f"2.{n % 4}") for n in range(20)]
        index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(items)))
        for depth in (1, 2, 3):
            for uids in {found.uids[:depth] for found in items}:
                path = ResourcePath(*uids)
                walk = list(index.instances.walk_below(operation.store_id, path))
                assert sorted(found.to_instance() for found in walk) == sorted(
                    i for i in items if i.uids[:depth] == uids
                )
                assert index.instances.count_below(operation.store_id, path) == len(walk)
                index.instances.require(STORE, path)
                for at, found in enumerate(walk):
                    assert list(index.instances.walk_below(operation.store_id, path, found.position)) == walk[at + 1 :]
        for path in (ResourcePath("1.7"), ResourcePath("1.1", "2.7"), ResourcePath("1.1", "2.1", "9.2")):
            assert list(index.instances.walk_below(operation.store_id, path)) == []
            assert index.instances.count_below(operation.store_id, path) == 0
            with pytest.raises(NotFound):
                index.instances.require(STORE, path)

    def test_storage_info_is_that_of_the_instance(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1), item(2))))
        info = index.instances.get_storage_info(STORE, ResourcePath(*item(2).uids))
        assert (info.size, info.storage_class, info.structured_size) == (102, "NEARLINE", item(2).structured_size)
        assert info.update_time >= index.operations.get_operation(operation.name).create_time
        with pytest.raises(NotFound):
            index.instances.get_storage_info(STORE, ResourcePath(*item(3).uids))

    # Changes ----------------------------------------------------------------------------------------------------------

    def test_a_change_gives_class_blob_and_time(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1), item(2))))
        before = index.metrics.get_metrics(STORE)
        first, second = index.instances.walk_store(operation.store_id)
        time = index.instances.get_storage_info(STORE, ResourcePath(*first.uids)).update_time
        index.operations.commit_batch(operation, RUNNER, Batch("b", changes=(Change(first, "ARCHIVE", "new/1"),)))
        assert stored(index, index.resources.get_dicom_store(STORE)) == [
            item(1)._replace(storage_class="ARCHIVE", blob_key="new/1"),
            second.to_instance(),
        ]
        assert index.instances.get_storage_info(STORE, ResourcePath(*first.uids)).update_time > time
        assert (index.garbage.list_blobs(), index.metrics.get_metrics(STORE)) == ([first.blob_key], before)
        assert index.operations.get_operation(operation.name).counter.success == 3

    def test_a_change_of_the_class_alone_gives_up_no_blob(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
        (first,) = index.instances.walk_store(operation.store_id)
        change = Change(first, "ARCHIVE", first.blob_key)
        index.operations.commit_batch(operation, RUNNER, Batch("b", changes=(change,)))
        assert stored(index, index.resources.get_dicom_store(STORE)) == [item(1)._replace(storage_class="ARCHIVE")]
        assert index.garbage.list_blobs() == []

    def test_a_change_that_comes_too_late_is_a_failure_and_its_copy_garbage(
        self, index: SqlIndex, operation: Operation
    ) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1), item(2), item(3))))
        late = [
            Change(found, "ARCHIVE", f"late/{found.sop_instance_uid}")
            for found in index.instances.walk_store(operation.store_id)
        ]
        index.deletion.delete_instance(STORE, ResourcePath(*item(1).uids))
        index.operations.commit_batch(operation, RUNNER, Batch("b", changes=(late[1]._replace(blob_key="early"),)))
        index.garbage.forget_blobs(index.garbage.list_blobs())
        assert index.operations.commit_batch(operation, RUNNER, Batch("c", changes=tuple(late))) == Committed(
            False, 2, 2, (Code.NOT_FOUND, Code.ABORTED)
        )
        failures = [entry.failure for entry in index.logs.list_failures(operation.name, 10)]
        assert [(found.resource, found.status.code) for found in failures] == [
            (item(1).path, Code.NOT_FOUND),
            (item(2).path, Code.ABORTED),
        ]
        assert sorted(index.garbage.list_blobs()) == ["b/3", "late/9.1", "late/9.2"]
        assert [found.blob_key for found in stored(index, index.resources.get_dicom_store(STORE))] == [
            "early",
            "late/9.3",
        ]
        assert index.operations.get_operation(operation.name).counter == ProgressCounter(0, 5, 2)

    def test_a_replacement_changes_sizes_and_gives_up_the_old_blob(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1), item(2))))
        before, _ = index.instances.walk_store(operation.store_id)
        after = before.to_instance()._replace(blob_key="new", size=before.size + 5000)
        change = Replacement(before, after, StudyAttributes(), SeriesAttributes())
        index.operations.commit_batch(operation, RUNNER, Batch("b", replacements=(change,)))
        assert index.metrics.get_metrics(STORE).blob_bytes == after.size + item(2).size
        assert sum(each.blob_bytes for each in index.metrics.list_growth(STORE)) == after.size + item(2).size
        assert index.garbage.list_blobs() == [before.blob_key]
        again = index.operations.commit_batch(operation, RUNNER, Batch("c", replacements=(change,)))
        assert again.lost == 1 and index.garbage.list_blobs() == [before.blob_key], "the blob of a row is never garbage"

    # Deletion ---------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("below", "gone"),
        [
            (ResourcePath("1.2"), [1, 2, 3]),
            (ResourcePath("1.2", "5"), [1, 2]),
            (ResourcePath("1.3"), [4]),
            (ResourcePath("1.3", "5"), [4]),
        ],
    )
    def test_rows_of_a_study_or_series_go_and_blobs_become_garbage(
        self, index: SqlIndex, operation: Operation, below: ResourcePath, gone: list[int]
    ) -> None:
        items = {n: item(n, study, series) for n, (study, series) in SPREAD.items()}
        index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(items.values())))
        made = index.deletion.delete_below(STORE, below, "v1", Method.DELETE_STUDY)
        assert (made.done, made.error, made.counter) == (True, None, ProgressCounter())
        assert (made.method, made.store, made.request) == (Method.DELETE_STUDY, STORE, {"path": list(below)})
        left = [value for number, value in items.items() if number not in gone]
        assert sorted(stored(index, index.resources.get_dicom_store(STORE))) == left
        while not index.garbage.purge_removed():
            pass
        assert sorted(index.garbage.list_blobs()) == [f"b/{number}" for number in gone]
        assert index.metrics.get_metrics(STORE) == metrics_of(left)
        with pytest.raises(NotFound):
            index.deletion.delete_below(STORE, below, "v1", Method.DELETE_STUDY)
        index.operations.commit_batch(operation, RUNNER, Batch("b", tuple(items[number] for number in gone)))
        assert index.metrics.get_metrics(STORE) == metrics_of(list(items.values()))

    def test_instances_go_one_by_one_with_what_is_empty_then(self, index: SqlIndex, operation: Operation) -> None:
        items = [item(n, study, series) for n, (study, series) in SPREAD.items()]
        index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(items)))
        while items:
            first = items.pop(0)
            index.deletion.delete_instance(STORE, ResourcePath(*first.uids))
            assert index.metrics.get_metrics(STORE) == metrics_of(items)
            assert sorted(stored(index, index.resources.get_dicom_store(STORE))) == items
            with pytest.raises(NotFound):
                index.deletion.delete_instance(STORE, ResourcePath(*first.uids))
        assert sorted(index.garbage.list_blobs()) == ["b/1", "b/2", "b/3", "b/4"]

    # What an older reader has described -------------------------------------------------------------------------------

    def test_what_comes_in_is_described_by_the_reader_of_today(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1), said(item(2, "1.3", "5")))))
        assert (index.description.count_outdated(), index.description.list_outdated_studies((0, 0), 10)) == (0, [])

    def test_studies_of_an_older_reader_are_listed_in_pages_until_they_are_marked(
        self, index: SqlIndex, operation: Operation
    ) -> None:
        index.operations.commit_batch(
            operation, RUNNER, Batch("a", tuple(said(item(n, f"1.{n}", "5")) for n in range(5)))
        )
        assert index.description.count_outdated() == 0
        age(index)
        assert index.description.count_outdated() == 5
        first = index.description.list_outdated_studies((0, 0), 3)
        rest = index.description.list_outdated_studies(first[-1].position, 3)
        found = first + rest
        assert sorted(each.study_instance_uid for each in found) == [f"1.{n}" for n in range(5)] and len(first) == 3
        assert {(each.said, each.series_count, each.instance_count) for each in found} == {(STUDY_SAID, 1, 1)}
        index.description.mark_described(found[1:])
        assert index.description.list_outdated_studies((0, 0), 10) == found[:1]

    @pytest.mark.parametrize("meanwhile", ["nothing", "replaced", "moved", "deleted", "described"])
    def test_a_header_that_was_read_before_is_not_written_over_what_came_since(
        self, index: SqlIndex, operation: Operation, meanwhile: str
    ) -> None:
        index.uploads.store_instances(operation.store_id, [item(1)])
        with index.database.write() as connection:
            connection.execute(update(instance).values(pack_number=None))
        ((store_id, before),) = index.description.list_undescribed(10)
        late = said(before.to_instance(), StudyAttributes("Late^Jane"))
        if meanwhile == "replaced":
            index.uploads.store_instances(store_id, [said(item(1, prefix="new"))], replace=True)
        elif meanwhile == "moved":
            index.operations.commit_batch(operation, RUNNER, Batch("a", changes=(Change(before, "ARCHIVE", "moved"),)))
        elif meanwhile == "deleted":
            index.deletion.delete_instance(STORE, ResourcePath(*before.uids))
        elif meanwhile == "described":
            index.description.describe(store_id, [said(before.to_instance())])
        index.description.describe(store_id, [late])
        found = len(found_by(index, "patient_name", Operator.EQUALS, "Late^Jane"))
        assert found == (meanwhile == "nothing")
        assert len(index.description.list_undescribed(10)) == (meanwhile == "moved")
        assert len(found_by(index, "patient_name", Operator.EQUALS, "Doe^John")) == (
            meanwhile in ("replaced", "described")
        )

    def test_the_first_instances_are_those_that_came_first(self, index: SqlIndex, operation: Operation) -> None:
        """Whatever their UIDs are; a replacement keeps its turn."""
        for number in (3, 1, 2):
            index.operations.commit_batch(
                operation, RUNNER, Batch(str(number), (said(item(number, series=f"1.2.{number % 2}")),))
            )
        before = next(each for each in index.instances.walk_store(operation.store_id) if each.sop_instance_uid == "9.3")
        after = said(before.to_instance()._replace(blob_key="new"))
        change = Replacement(before, after, STUDY_SAID, SERIES_SAID)
        index.operations.commit_batch(operation, RUNNER, Batch("x", replacements=(change,)))
        age(index)
        (study,) = index.description.list_outdated_studies((0, 0), 10)
        every = index.description.list_series(study.id, 0, 10)
        assert index.description.list_series(study.id, every[0].id, 10) == every[1:] and len(every) == 2
        found = index.description.list_first_in_study(study.id, 2)
        assert [(place.sop_instance_uid, place.blob_key) for place in found] == [("9.3", "new"), ("9.1", "b/1")]
        series = next(each for each in every if each.series_instance_uid == "1.2.1")
        assert (series.said, series.instance_count) == (SERIES_SAID, 2)
        assert index.description.list_first_in_series(series.id, 1) == found[:1]
        packs = index.instances.get_header_packs([found[0].pack_id or 0])
        assert unpack(packs[found[0].pack_id or 0])[found[0].pack_number] == b"header"

    def test_a_study_that_is_described_anew_is_found_by_that_alone(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (said(item(1)), said(item(2)))))
        before = index.metrics.get_metrics(STORE), index.metrics.list_growth(STORE)
        age(index)
        (study,) = index.description.list_outdated_studies((0, 0), 10)
        (series,) = index.description.list_series(study.id, 0, 10)
        places = index.description.list_first_in_study(study.id, 2)
        assert index.description.redescribe_series(study.id, series, SeriesAttributes("MR\\PT", "3"), places)
        new = StudyAttributes("Roe^Jane", "P2", study_date="20300505", study_description="New knee")
        assert index.description.redescribe_study(study, new, places)
        assert index.description.count_outdated() == 0
        for field, operator, wanted in (
            *(("patient_name", Operator.EQUALS, "Roe^Jane"), ("patient_name", Operator.WORDS, "jane")),
            *(("study_description", Operator.WILDCARD, "*knee*"), ("study_date", Operator.EQUALS, "20300505")),
            *(
                ("modalities_in_study", Operator.EQUALS, "MR"),
                ("modalities_in_study", Operator.EQUALS, "PT"),
                ("patient_id", Operator.EQUALS, "P2"),
            ),
        ):
            assert len(found_by(index, field, operator, wanted)) == 1, (field, wanted)
        for field, operator, wanted in (
            *(("patient_name", Operator.EQUALS, "Doe^John"), ("patient_name", Operator.WORDS, "john")),
            *(("study_description", Operator.WILDCARD, "*hip*"), ("study_date", Operator.EQUALS, "20240105")),
            ("modalities_in_study", Operator.EQUALS, "CT"),
        ):
            assert found_by(index, field, operator, wanted) == [], (field, wanted)
        assert (index.metrics.get_metrics(STORE), index.metrics.list_growth(STORE)) == before
        index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
        assert found_by(index, "patient_name", Operator.WORDS, "jane") == []

    @pytest.mark.parametrize("meanwhile", ["stored", "deleted", "replaced", "gone"])
    def test_what_changes_while_headers_are_read_is_not_undone(
        self, index: SqlIndex, operation: Operation, meanwhile: str
    ) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (said(item(1)), said(item(2)))))
        age(index)
        (study,) = index.description.list_outdated_studies((0, 0), 10)
        (series,) = index.description.list_series(study.id, 0, 10)
        places = index.description.list_first_in_study(study.id, 1)
        if meanwhile == "stored":
            index.operations.commit_batch(operation, RUNNER, Batch("b", (said(item(3)),)))
        elif meanwhile == "deleted":
            index.deletion.delete_instance(STORE, ResourcePath(*item(2).uids))
        elif meanwhile == "gone":
            index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
            index.operations.commit_batch(operation, RUNNER, Batch("b", (said(item(1)),)))
        else:
            before = next(iter(index.instances.walk_store(operation.store_id)))
            change = Replacement(before, said(before.to_instance()._replace(blob_key="new")), STUDY_SAID, SERIES_SAID)
            index.operations.commit_batch(operation, RUNNER, Batch("b", replacements=(change,)))
        assert not index.description.redescribe_study(study, StudyAttributes("Roe^Jane"), places)
        assert not index.description.redescribe_series(study.id, series, SeriesAttributes("MR"), places)
        assert len(found_by(index, "patient_name", Operator.EQUALS, "Doe^John")) == 1
        assert index.description.count_outdated() == (meanwhile != "gone")
        assert index.description.are_there(places) == (meanwhile in ("stored", "deleted"))

    @pytest.mark.parametrize("latest", ["first", "last"])
    def test_an_instance_that_was_read_before_and_after_a_change_is_not_there(
        self, index: SqlIndex, operation: Operation, latest: str
    ) -> None:
        """What was decided may be from its old header."""
        index.operations.commit_batch(operation, RUNNER, Batch("a", (said(item(1)),)))
        age(index)
        (study,) = index.description.list_outdated_studies((0, 0), 10)
        (series,) = index.description.list_series(study.id, 0, 10)
        (before,) = index.description.list_first_in_series(series.id, 1)
        change = Replacement(before, said(before.to_instance()._replace(blob_key="new")), STUDY_SAID, SERIES_SAID)
        index.operations.commit_batch(operation, RUNNER, Batch("b", replacements=(change,)))
        (after,) = index.description.list_first_in_series(series.id, 1)
        places = [after, before] if latest == "first" else [before, after]
        assert index.description.are_there([after, after])
        assert not index.description.are_there(places)
        assert not index.description.redescribe_study(study, StudyAttributes("Roe^Jane"), places)
        assert not index.description.redescribe_series(study.id, series, SeriesAttributes("MR"), places)

    def test_later_instances_fill_what_the_first_left_open(self, index: SqlIndex, operation: Operation) -> None:
        index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
        index.operations.commit_batch(operation, RUNNER, Batch("b", (said(item(2)), said(item(3, series="1.2.9")))))
        other = StudyAttributes("Doe^John", "P1", "A7", study_date="20300505")
        index.operations.commit_batch(
            operation, RUNNER, Batch("c", (said(item(4), other, SeriesAttributes("MR", "5")),))
        )
        for field, operator, wanted in (
            *(("patient_name", Operator.WORDS, "john"), ("study_description", Operator.WILDCARD, "*hip*")),
            *(("accession_number", Operator.EQUALS, "A7"), ("modalities_in_study", Operator.EQUALS, "CT")),
            ("study_date", Operator.EQUALS, "20240105"),
        ):
            (row,) = found_by(index, field, operator, wanted)
            assert (row.modalities, row.series_count, row.instance_count) == ("CT", 2, 4)
        assert found_by(index, "modalities_in_study", Operator.EQUALS, "MR") == []

    def test_a_header_without_a_pack_describes_its_study(self, index: SqlIndex, operation: Operation) -> None:
        new = said(item(1))
        assert new.description is not None
        new = new._replace(description=new.description._replace(pack=b"", packed=0, size=new.uids_size))
        index.operations.commit_batch(operation, RUNNER, Batch("a", (new, said(item(2)))))
        assert len(found_by(index, "patient_name", Operator.EQUALS, "Doe^John")) == 1
        assert index.metrics.get_metrics(STORE) == metrics_of([new, said(item(2))])
        rows = {row.sop_instance_uid: row for row in index.instances.list_below(STORE, ResourcePath("1.2"))}
        assert (rows["9.1"].pack_id, rows["9.1"].instance_number, rows["9.2"].pack_number) == (None, 7, 0)

    # For pages --------------------------------------------------------------------------------------------------------

    def test_entries_are_searched_in_pages(self, index: SqlIndex, operation: Operation) -> None:
        codes = (Code.NOT_FOUND, Code.INVALID_ARGUMENT)
        failures = tuple(failed(number, codes[number % 2]) for number in range(30))
        index.operations.commit_batch(operation, RUNNER, Batch("a", failures=failures, listed=30))
        name = operation.name
        first, more = index.logs.search_entries(name, limit=20)
        second, end = index.logs.search_entries(name, limit=20, after=more)
        assert [entry.failure for entry in first + second] == list(failures) and (more, end) == (20, 0)
        found, _ = index.logs.search_entries(name, "MESSAGE 2")
        assert [entry.failure.resource for entry in found] == ["gs://b/2", *(f"gs://b/2{n}" for n in range(10))]
        for tag, words in (("fr", "NON VALIDE"), ("pt-BR", "é válido"), ("en", "not valid"), ("fr", "Not valid")):
            with use_language(tag):
                assert index.logs.search_entries(name, words, limit=1)[0], "as the page shows it, or as programs do"
        found, _ = index.logs.search_entries(name, "B/1", Reason.INVALID_ARGUMENT)
        assert [entry.failure.resource for entry in found] == ["gs://b/1", *(f"gs://b/1{n}" for n in (1, 3, 5, 7, 9))]
        assert index.logs.search_entries(name, "%") == ([], 0)

    def test_a_search_of_a_long_log_goes_on_where_it_has_looked(
        self, index: SqlIndex, operation: Operation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "SCAN", 10)
        index.operations.commit_batch(operation, RUNNER, Batch("a", failures=tuple(map(failed, range(25))), listed=25))
        assert index.logs.search_entries(operation.name, "b/24") == ([], 10)
        assert index.logs.search_entries(operation.name, "b/24", after=10) == ([], 20)
        found, end = index.logs.search_entries(operation.name, "b/24", after=20)
        assert ([entry.failure.resource for entry in found], end) == (["gs://b/24"], 0)

    def test_progress_is_noted_now_and_then(
        self, index: SqlIndex, operation: Operation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Never more often than every second, and every half percent of the time that it has taken."""
        database: Any = index.database
        start = database.now()
        for second, done in ((0.1, 1), (0.2, 2), (1.5, 3), (1.6, 4), (2000, 5), (2005, 6), (2011, 7)):
            monkeypatch.setattr(database, "now", lambda second=second: start + int(second * 1e6))
            index.operations.commit_batch(operation, RUNNER, Batch(str(done), (item(done),), listed=10))
        assert [count for _, count in index.operations.list_progress(operation.name)] == [1, 3, 5, 7]

    def test_saved_searches(self, index: SqlIndex, store: DicomStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(saved_searches, "MOST", 2)
        for owner, name, query in (("a", "y", "1"), ("a", "x", "2"), ("a", "y", "3"), ("b", "x", "4")):
            index.saved_searches.save_search(STORE, owner, name, query)
        assert index.saved_searches.list_searches(STORE, "a") == {"x": "2", "y": "3"}
        with pytest.raises(ResourceExhausted):
            index.saved_searches.save_search(STORE, "a", "z", "5")
        index.saved_searches.delete_search(STORE, "a", "x")
        index.saved_searches.delete_search(STORE, "a", "none")
        assert (index.saved_searches.list_searches(STORE, "a"), index.saved_searches.list_searches(STORE, "b")) == (
            {"y": "3"},
            {"x": "4"},
        )
        with pytest.raises(NotFound):
            index.saved_searches.save_search(replace(STORE, store="none"), "a", "x", "1")

    # Sessions ---------------------------------------------------------------------------------------------------------

    def test_sessions_last_until_they_end_or_are_ended(self, index: SqlIndex) -> None:
        begun = Session(principal("user:ada@example.org", ["group:a"], "token:01"), 100)
        index.access.begin_session(b"1", begun, 0)
        index.access.begin_session(b"2", replace(begun, ends=200), 0)
        found = index.access.find_session(b"1", 99)
        assert found == begun and found is not None and found.who.credential == "token:01"
        assert [index.access.find_session(b"1", 100), index.access.find_session(b"3", 0)] == [None, None]
        index.access.end_session(b"2")
        index.access.end_session(b"3")
        assert index.access.find_session(b"2", 0) is None
        index.access.begin_session(b"3", replace(begun, ends=300), 100)
        assert index.access.find_session(b"1", 0) is None, "one that has ended is forgotten"

    # Threads ----------------------------------------------------------------------------------------------------------

    @pytest.mark.slow
    def test_threads_commit_into_one_store_and_nothing_is_lost(self, index: SqlIndex, store: DicomStore) -> None:
        operations = [begin(index) for _ in range(4)]
        batches = [
            [
                tuple(item(1000 * thread + 10 * batch + n, f"1.{batch % 3}", f"1.{batch % 3}.{n}") for n in range(10))
                for batch in range(10)
            ]
            for thread in range(4)
        ]

        def work(thread: int) -> None:
            for number, instances in enumerate(batches[thread]):
                index.operations.commit_batch(
                    operations[thread], RUNNER, Batch(f"{number}", instances, failures=(failed(number),), listed=100)
                )

        in_threads(work, 4)
        expected = sorted(found for thread in batches for batch in thread for found in batch)
        assert sorted(stored(index, store)) == expected
        for value in operations:
            now = index.operations.get_operation(value.name)
            assert (now.counter, now.checkpoint) == (ProgressCounter(100, 100, 10), "9")
            assert [entry.seq for entry in index.logs.list_failures(value.name, 99)] == list(range(1, 11))

    def test_of_threads_that_store_one_instance_one_succeeds(self, index: SqlIndex, store: DicomStore) -> None:
        operations = [begin(index) for _ in range(4)]
        outcomes: list[str] = []

        def work(thread: int) -> None:
            try:
                index.operations.commit_batch(operations[thread], RUNNER, Batch("a", (item(1, prefix=str(thread)),)))
                outcomes.append("stored")
            except AlreadyExists:
                outcomes.append("refused")

        in_threads(work, 4)
        assert sorted(outcomes) == ["refused"] * 3 + ["stored"]
        assert len(stored(index, store)) == 1

    def test_every_operation_is_claimed_by_one_thread(self, index: SqlIndex, store: DicomStore) -> None:
        for _ in range(12):
            index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {}, str(STORE))
        claimed: list[int] = []

        def work(_thread: int) -> None:
            while (found := index.operations.claim_operation(RUNNER)) is not None:
                claimed.append(found.name.id)

        in_threads(work, 4)
        assert len(claimed) == len(set(claimed)) == 12

    def test_what_one_thread_claims_after_a_claim_of_unknown_outcome_no_other_one_claims(
        self, index: SqlIndex, store: DicomStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The claim of the first was not written, and the second had begun before."""
        index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {}, str(STORE))
        read, write = index.database.read, index.database.write

        @contextmanager
        def write_in_vain() -> Iterator[Connection]:
            with write() as connection:
                yield connection
                raise OutcomeUnknown("the disk reports an error")

        def let_another_thread_be_first() -> AbstractContextManager[Connection]:
            monkeypatch.setattr(index.database, "read", read)
            with monkeypatch.context() as patch, pytest.raises(OutcomeUnknown):
                patch.setattr(index.database, "write", write_in_vain)
                index.operations.claim_operation(RUNNER)
            return read()

        monkeypatch.setattr(index.database, "read", let_another_thread_be_first)
        assert index.operations.claim_operation(RUNNER) is not None
        assert index.operations.claim_operation(RUNNER) is None


def in_threads(work: Callable[[int], None], count: int) -> None:
    """``work(0)`` … ``work(count - 1)`` at once; the first error is raised here."""
    errors: list[Exception] = []
    together = threading.Barrier(count)

    def guarded(number: int) -> None:
        try:
            together.wait(30)
            work(number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
