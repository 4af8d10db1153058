"""Resource names."""

from __future__ import annotations

import pytest

from gantry.errors import InvalidArgument
from gantry.names import (
    DatasetName,
    DicomStoreName,
    LocationName,
    OperationName,
    check_dataset_id,
    check_dicom_store_id,
    parse_dicom_store_name,
)

STORE = DicomStoreName("p", "us-central1", "d", "s")


def test_names_print_as_paths() -> None:
    assert str(STORE) == "projects/p/locations/us-central1/datasets/d/dicomStores/s"
    assert str(STORE.parent) == "projects/p/locations/us-central1/datasets/d"
    assert str(STORE.parent.parent) == "projects/p/locations/us-central1"
    assert str(OperationName(STORE.parent, 42)) == "projects/p/locations/us-central1/datasets/d/operations/42"


def test_parents() -> None:
    assert STORE.parent == DatasetName("p", "us-central1", "d")
    assert STORE.parent.parent == LocationName("p", "us-central1")


def test_numbers_of_operations_are_digits_and_fit_the_index() -> None:
    for number in (0, 7, 2**63 - 1):
        assert OperationName.parse(STORE.parent, str(number)) == OperationName(STORE.parent, number)
    for text in ("", "x", "-1", "+1", "1.0", "٣", "1_0", " 1", str(2**63), "9" * 19, "9" * 5000):
        assert OperationName.parse(STORE.parent, text).id == -1


@pytest.mark.parametrize("text", ["d", "Dataset_1-2.3", "é", "数据集", "٣", "Ⅷ", "a" * 256, ".."])
def test_dataset_ids_hold_letters_and_digits_of_any_script(text: str) -> None:
    assert check_dataset_id(text) == text


@pytest.mark.parametrize("text", ["", "a" * 257, "a b", "a/b", "a:b", "a\n", "a%20", "😀", "a*", "e\u0301"])
def test_other_dataset_ids_are_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match="datasetId"):
        check_dataset_id(text)


@pytest.mark.parametrize("text", ["s", "Store_1-2.3", "0", "a" * 256])
def test_dicom_store_ids_hold_ascii_letters_and_digits(text: str) -> None:
    assert check_dicom_store_id(text) == text


@pytest.mark.parametrize("text", ["", "a" * 257, "é", "٣", "a b", "a/b", "a\n", "a:b"])
def test_other_dicom_store_ids_are_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match="dicomStoreId"):
        check_dicom_store_id(text)


def test_a_full_name_is_read_back() -> None:
    assert parse_dicom_store_name(str(STORE)) == STORE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "projects/p/locations/l/datasets/d",
        "projects/p/locations/l/datasets/d/dicomStores/",
        "projects//locations/l/datasets/d/dicomStores/s",
        "projects/p/locations/l/datasets/d/fhirStores/s",
        "/projects/p/locations/l/datasets/d/dicomStores/s",
        "projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb",
    ],
)
def test_other_full_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_dicom_store_name(text)
