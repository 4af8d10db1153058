"""Numbers in the names of blobs: their order as bytes is the order of the commits, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gantry.errors import StatusError
from gantry.names import DatasetName, OperationName
from gantry.operations.blob_keys import batch_prefix, format_sortable, list_rests, sweep_uncommitted
from gantry.resources import Method, ObjectMeta, Operation
from gantry.rests import make_rest
from gantry.seams import MAIN

_EDGES = [0, 1, *(10**power + step for power in range(1, 120) for step in (-1, 0, 1))]
_NUMBERS = st.one_of(st.sampled_from(_EDGES), st.integers(0, 30_000), st.integers(0, 10**120))


def _operation(attempt: int) -> Operation:
    name = OperationName(DatasetName("p", "us-central1", "d"), 17)
    return Operation(name, "v1", Method.IMPORT_DICOM_DATA, datetime.now(UTC), store_id=3, attempt=attempt)


@given(_NUMBERS, _NUMBERS)
def test_texts_sort_as_their_numbers(one: int, other: int) -> None:
    assert (format_sortable(one).encode() < format_sortable(other).encode()) == (one < other)
    assert (format_sortable(one) == format_sortable(other)) == (one == other)


def test_every_step_over_a_power_of_ten_goes_up() -> None:
    texts = [format_sortable(number).encode() for number in sorted(_EDGES)]
    assert texts == sorted(texts)


@given(st.tuples(_NUMBERS, _NUMBERS), st.tuples(_NUMBERS, _NUMBERS))
def test_batches_sort_in_the_order_of_their_commits(one: tuple[int, int], other: tuple[int, int]) -> None:
    """By attempt, then by batch; what lies in a batch sorts after its name and before the next batch."""
    first, second = (batch_prefix(_operation(attempt), number) for attempt, number in (one, other))
    assert (f"{first}/~".encode() < f"{second}/0000.dcm".encode()) == (one < other)


@given(_NUMBERS, _NUMBERS, st.integers(1, 99_999), st.integers(0, 999_999))
def test_names_of_the_earlier_form_sort_before(attempt: int, number: int, old: int, group: int) -> None:
    assert f"3/17/{old:04d}-{group:06d}/999/~" < batch_prefix(_operation(attempt), number)


@given(_NUMBERS, _NUMBERS)
def test_no_segment_is_longer_than_a_file_name(attempt: int, number: int) -> None:
    assert max(map(len, f"{MAIN}/{batch_prefix(_operation(attempt), number)}".split("/"))) <= 255


class _Blobs:
    """A directory of blobs that are listed and deleted."""

    def __init__(self, *keys: str) -> None:
        self.keys = sorted(keys)

    def list(self, prefix: str, check: object = None) -> Iterator[ObjectMeta]:
        yield from [ObjectMeta(key, 1) for key in self.keys if key.startswith(prefix)]

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        self.keys = [key for key in self.keys if key not in keys]
        return {}


def test_names_of_older_versions_are_compared_by_their_numbers() -> None:
    """``10000-`` sorts before ``9999-``; what came after the last commit goes, in today's form too."""
    committed = ["0001-000000/000/1.dcm", "9998-000000/007/1.dcm", "9999-000000/000/1.dcm", "9999-000000/001/1.dcm"]
    later = ["9999-000000/002/1.dcm", "9999-000001/000/1.dcm", "10000-000000/000/1.dcm", "e10001-a0/000.0000-ab.seg"]
    blobs = _Blobs(*(f"main/3/17/{key}" for key in (*committed, *later)), "main/3/171/9999-000000/002/1.dcm")
    row = SimpleNamespace(blob_prefix="3/17/9999-000000/001")
    operations = SimpleNamespace(get_operation=lambda _: row)
    index = SimpleNamespace(settle=lambda: None, operations=operations)
    seams: Any = SimpleNamespace(places=[MAIN], blobs=blobs, index=index)
    sweep_uncommitted(seams, _operation(10_001))
    assert blobs.keys == [*(f"main/3/17/{key}" for key in committed), "main/3/171/9999-000000/002/1.dcm"]


def test_what_is_left_is_one_key_in_each_place_unless_its_names_are_old() -> None:
    operation, committed = _operation(2), "3/17/a2-a0/003"
    rests = [str(make_rest(place, "3/17/", committed)) for place in (MAIN, "ARCHIVE")]
    assert list_rests(operation, [MAIN, "ARCHIVE"], committed) == rests
    assert list_rests(operation, [MAIN], "3/17/0002-000000/003") == []
    assert list_rests(replace(operation, method=Method.EXPORT_DICOM_DATA), [MAIN], committed) == []
