"""Entries of the error logs of several operations, each with its own."""

from __future__ import annotations

from dataclasses import replace

from gantry.index.sql import SqlIndex
from gantry.log_entries import LogFilter
from gantry.resources import Batch, Dataset, DicomStore
from tests.index.values import DATASET, RUNNER, begin, failed

EVERYTHING = LogFilter("all")


def number_of(entry_resource: str) -> int:
    return int(entry_resource.rpartition("/")[2])


def test_an_entry_comes_once_with_the_operation_that_wrote_it(index: SqlIndex, store: DicomStore) -> None:
    wrote: dict[int, int] = {}
    for first in (1, 11, 21):
        operation = begin(index)
        index.operations.commit_batch(operation, RUNNER, Batch("", failures=(failed(first), failed(first + 1))))
        wrote |= dict.fromkeys((first, first + 1), operation.name.id)
        index.operations.finish_operation(operation, RUNNER, None)
    for newest_first in (True, False):
        found, after = index.logs.find_failures(EVERYTHING, 10, newest_first=newest_first)
        numbers = [number_of(entry.failure.resource) for _, entry in found]
        assert sorted(numbers) == sorted(wrote) and after is None
        assert {number_of(entry.failure.resource): each.name.id for each, entry in found} == wrote
    one = LogFilter("=", "operation", wrote[11])
    found, _ = index.logs.find_failures(one, 10)
    assert sorted(number_of(entry.failure.resource) for _, entry in found) == [11, 12]


def test_a_page_of_entries_goes_on_where_the_last_one_ended(index: SqlIndex, store: DicomStore) -> None:
    for first in (1, 11):
        operation = begin(index)
        index.operations.commit_batch(
            operation, RUNNER, Batch("", failures=tuple(map(failed, range(first, first + 3))))
        )
        index.operations.finish_operation(operation, RUNNER, None)
    for newest_first in (True, False):
        numbers, after = list[int](), None
        for _ in range(6):
            page, after = index.logs.find_failures(EVERYTHING, 1, after, newest_first)
            numbers += [number_of(entry.failure.resource) for _, entry in page]
        assert after is None and sorted(numbers) == [1, 2, 3, 11, 12, 13]


def test_a_change_of_a_dataset_answers_what_is_kept(index: SqlIndex, store: DicomStore) -> None:
    def change(before: Dataset) -> Dataset:
        return replace(before, time_zone="Europe/Lisbon")

    changed = index.resources.change_dataset(DATASET, change)
    assert changed == index.resources.get_dataset(DATASET) and changed.time_zone == "Europe/Lisbon"
