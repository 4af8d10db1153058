"""projects.locations.datasets.dicomStores.list (§4.2.4, §4.2.5)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.paging import all_pages, check_paging

LABELS = {
    "a": {"ward": "icu", "side": "left"},
    "b": {"ward": "icu", "side": "right"},
    "c": {"ward": "er"},
    "d": {},
}


@pytest.fixture
def stores(gantry: Gantry) -> str:
    """A dataset with four labelled stores; the path of its list."""
    gantry.call("DELETE", f"v1/{gantry.store}")
    path = f"v1/{gantry.dataset}/dicomStores"
    for store, labels in LABELS.items():
        gantry.call("POST", f"{path}?dicomStoreId={store}", json={"labels": labels})
    return path


def listed(gantry: Gantry, path: str, **params: object) -> str:
    """The ids of the stores, one letter each."""
    found = [item["name"] for page in all_pages(gantry, path, "dicomStores", **params) for item in page]
    return "".join(name.rpartition("/")[2] for name in found)


def test_stores_are_listed_whole(gantry: Gantry, stores: str) -> None:
    answer = gantry.call("GET", stores)["dicomStores"]
    assert answer[2] == {"name": f"{gantry.dataset}/dicomStores/c", "labels": {"ward": "er"}}
    assert listed(gantry, stores) == "abcd"


def test_no_stores_are_an_empty_object(gantry: Gantry) -> None:
    """§4.2.4"""
    gantry.call("DELETE", f"v1/{gantry.store}")
    assert gantry.call("GET", f"v1/{gantry.dataset}/dicomStores") == {}


def test_a_missing_dataset_is_not_found(gantry: Gantry) -> None:
    refused(gantry.request("GET", f"v1/{gantry.dataset}-no/dicomStores"), "NOT_FOUND")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "abcd"),
        ("labels.ward=icu", "ab"),
        ('labels.ward="icu"', "ab"),
        ("labels.ward = icu", "ab"),
        ("labels.ward=icu AND labels.side=left", "a"),
        ("labels.ward=er OR labels.side=left", "ac"),
        ("NOT labels.ward=icu", "cd"),
        ("NOT labels.ward=icu AND NOT labels.ward=er", "d"),
        ("labels.ward=er OR labels.ward=icu AND labels.side=right", "bc"),
        ("labels.nothing=x", ""),
        ('labels.side="a b"', ""),
    ],
)
def test_filter_by_label(gantry: Gantry, stores: str, text: str, expected: str) -> None:
    """§4.2.5"""
    assert listed(gantry, stores, filter=text) == expected


@pytest.mark.parametrize("size", [1, 2, 3])
def test_filter_and_paging_together(gantry: Gantry, stores: str, size: int) -> None:
    assert listed(gantry, stores, filter="NOT labels.ward=er", pageSize=size) == "abd"
    assert listed(gantry, stores, filter="labels.nothing=x", pageSize=size) == ""


@pytest.mark.parametrize(
    "text",
    ["ward=icu", "labels.ward", "labels.ward=", "labels.ward!=icu", "labels.ward=icu AND", "OR labels.ward=icu", "NOT",
     "labels.ward=icu labels.side=left", "name=a", "(labels.ward=icu)", "labels.ward:icu", "labels.=x", "AND"],
)  # fmt: skip
def test_anything_else_is_refused(gantry: Gantry, stores: str, text: str) -> None:
    """§4.2.5"""
    refused(gantry.request("GET", stores, params={"filter": text}), "INVALID_ARGUMENT", "filter")


def test_a_token_of_another_filter_is_refused(gantry: Gantry, stores: str) -> None:
    """§4.2.4"""
    token = gantry.call("GET", stores, params={"pageSize": 1, "filter": "labels.ward=icu"})["nextPageToken"]
    refused(gantry.request("GET", stores, params={"pageToken": token}), "INVALID_ARGUMENT", "pageToken")


def test_paging(gantry: Gantry, stores: str) -> None:
    """§4.2.4"""
    for store in ("B", "_", "0", "a.", "a-"):
        gantry.call("POST", f"{stores}?dicomStoreId={store}")
    check_paging(gantry, stores, "dicomStores")
