"""Numbers in the names of blobs: their order as bytes is the order of the commits, however many there are."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gantry.names import DatasetName, OperationName
from gantry.operations.blob_keys import batch_prefix, format_sortable
from gantry.resources import Method, Operation
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
