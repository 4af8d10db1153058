"""Resource names."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from gantry.errors import InvalidArgument
from gantry.names import (
    DatasetName,
    DicomStoreName,
    LocationName,
    OperationName,
    ResourcePath,
    check_dataset_id,
    check_dicom_store_id,
    check_segments,
    check_uids,
    is_path_segment,
    is_uid,
    parse_dataset_name,
    parse_dicom_store_name,
    parse_operation_name,
    url_path,
)

STORE = DicomStoreName("p", "us-central1", "d", "s")


def test_names_print_as_paths() -> None:
    assert str(STORE) == "projects/p/locations/us-central1/datasets/d/dicomStores/s"
    assert str(STORE.parent) == "projects/p/locations/us-central1/datasets/d"
    assert str(STORE.parent.parent) == "projects/p/locations/us-central1"
    assert str(OperationName(STORE.parent, 42)) == "projects/p/locations/us-central1/datasets/d/operations/42"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (ResourcePath("1"), "studies/1"),
        (ResourcePath("1", "2"), "studies/1/series/2"),
        (ResourcePath("1", "2", "3"), "studies/1/series/2/instances/3"),
    ],
    ids=["study", "series", "instance"],
)
def test_paths_of_dicomweb_end_at_their_level(path: ResourcePath, text: str) -> None:
    assert str(path) == text


def test_parents() -> None:
    assert STORE.parent == DatasetName("p", "us-central1", "d")
    assert STORE.parent.parent == LocationName("p", "us-central1")


def test_numbers_of_operations_are_digits_and_fit_the_index() -> None:
    for number in (0, 7, 2**63 - 1):
        assert OperationName.parse(STORE.parent, str(number)) == OperationName(STORE.parent, number)
    for text in ("", "x", "-1", "+1", "1.0", "٣", "1_0", " 1", str(2**63), "9" * 19, "9" * 5000):
        assert OperationName.parse(STORE.parent, text).id == -1


@pytest.mark.parametrize("text", ["d", "Dataset_1-2.3", "é", "数据集", "٣", "Ⅷ", "a" * 256, "..."])
def test_dataset_ids_hold_letters_and_digits_of_any_script(text: str) -> None:
    assert check_dataset_id(text) == text


@pytest.mark.parametrize("text", ["", "a" * 257, "a b", "a/b", "a:b", "a\n", "a%20", "😀", "a*", "e\u0301", ".", ".."])
def test_other_dataset_ids_are_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^datasetId: "):
        check_dataset_id(text)


@pytest.mark.parametrize("text", ["s", "Store_1-2.3", "0", "a" * 256])
def test_dicom_store_ids_hold_ascii_letters_and_digits(text: str) -> None:
    assert check_dicom_store_id(text) == text


@pytest.mark.parametrize("text", ["", "a" * 257, "é", "٣", "a b", "a/b", "a\n", "a:b", ".", ".."])
def test_other_dicom_store_ids_are_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^dicomStoreId: "):
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


@pytest.mark.parametrize("text", ["p", "...", "a..b", ".a", "a;b", "a b", "p:q", "100%", "数据集", "😀", "a?b", "a#b"])
def test_what_can_stand_between_two_slashes(text: str) -> None:
    assert is_path_segment(text)
    assert url_path(text).isascii() and not set("?#\"'<>& ;") & set(url_path(text))
    assert unquote(url_path(text)) == text


def test_slashes_and_colons_of_names_stay_in_addresses() -> None:
    """RFC 3986 §3.3; projects may have a domain, ``example.org:p``, and methods follow a colon."""
    assert url_path("projects/example.org:p") == "projects/example.org:p"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a/b",
        "..;",
        ".;a=b",
        "a\r\nb",
        "a\0",
        "\x7f",
        "\x85",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u2028",
        "\ud800",
        "\u0378",
    ],
)
def test_what_cannot_stand_between_two_slashes(text: str) -> None:
    assert not is_path_segment(text)
    with pytest.raises(InvalidArgument, match="cannot be part of a name"):
        check_segments("p", text)


def test_full_names_are_parsed() -> None:
    assert parse_dicom_store_name(str(STORE)) == STORE
    assert parse_dataset_name(str(STORE.parent)) == STORE.parent
    operation = OperationName(STORE.parent, 42)
    assert parse_operation_name(str(operation)) == operation


@pytest.mark.parametrize(
    "text",
    ["", "d/s", "projects/p", f"{STORE}/", f"{STORE}/x", "projects//locations/l/datasets/d/dicomStores/s"],
)
def test_names_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not projects/P/locations/L/datasets/D/dicomStores/S"):
        parse_dicom_store_name(text)


@pytest.mark.parametrize(
    ("uid", "digits", "other"), [("1.2.3", True, True), ("a_1", False, True), ("a/b", False, False)]
)
def test_which_uids_a_path_may_have(uid: str, digits: bool, other: bool) -> None:
    """Digits alone, unless other characters are asked for."""
    for takes, is_other in ((digits, {}), (digits, {"other": False}), (other, {"other": True})):
        if takes:
            check_uids(ResourcePath(uid, uid, uid), **is_other)
        else:
            with pytest.raises(InvalidArgument, match="is no UID"):
                check_uids(ResourcePath(uid), **is_other)


def test_a_uid_has_64_characters_at_most() -> None:
    """PS3.5 §9.1"""
    for sign, is_other in (("1", False), ("1", True), ("a", True)):
        check_uids(ResourcePath(sign * 64), other=is_other)
        with pytest.raises(InvalidArgument, match="is no UID"):
            check_uids(ResourcePath(sign * 65), other=is_other)


@pytest.mark.parametrize("uid", ["1", "1.2", "0.0", "1.02", "1." * 31 + "22"])
def test_uids_are_numbers_between_periods(uid: str) -> None:
    """PS3.5 §9.1, and leading zeros."""
    assert is_uid(uid)


@pytest.mark.parametrize("uid", ["", ".", "1.", ".1", "1..2", "1.a", "1.2 ", "1.2\n", "٣", "1." * 32 + "1"])
def test_other_texts_are_no_uids(uid: str) -> None:
    assert not is_uid(uid)
