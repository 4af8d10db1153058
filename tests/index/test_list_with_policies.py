"""``list_with_policies``: what the page *Datasets* asks, in one query."""

from __future__ import annotations

import pytest

from gantry.index.sql import SqlIndex
from gantry.names import DatasetName, DicomStoreName
from gantry.resources import Dataset, DicomStore

CONDITION = '{"bindings": [{"condition": {"expression": "true"}, "members": [], "role": "r"}]}'


@pytest.fixture
def names(index: SqlIndex) -> list[DatasetName | DicomStoreName]:
    """All of them: datasets, and stores with a policy, or below one with a condition."""
    places = [DatasetName(project, "eu", dataset) for project in "pq" for dataset in ("d-1", "d", "e")]
    for place in places:
        index.resources.create_dataset(Dataset(place), "v1")
        for store in ("s", "s-2", "t"):
            index.resources.create_dicom_store(DicomStore(DicomStoreName(place.project, "eu", place.dataset, store)))
    for name, text in (
        ("p", "of p"),
        (DicomStoreName("p", "eu", "d", "s-2"), "own"),
        (DicomStoreName("p", "eu", "e", "t"), "deleted"),
        (DatasetName("p", "eu", "d-1"), CONDITION),
        (DatasetName("p", "eu", "e"), "plain"),
        ("q", CONDITION),
    ):
        index.access.change_policy(name, lambda _, text=text: text)
    index.resources.delete_dicom_store(DicomStoreName("p", "eu", "e", "t"))
    found: list[DatasetName | DicomStoreName] = []
    for place in sorted(places, key=lambda each: (each.project, each.dataset)):
        stores = {("p", "d"): ("s-2",), ("p", "e"): ()}.get((place.project, place.dataset), ("s", "s-2", "t"))
        found += [place, *(DicomStoreName(place.project, "eu", place.dataset, store) for store in stores)]
    return found


def test_in_order_with_their_policies(index: SqlIndex, names: list[DatasetName | DicomStoreName]) -> None:
    found = dict(index.access.list_with_policies(1000))
    assert list(found) == names
    assert found[DatasetName("p", "eu", "d")] == ("of p", "", "")
    assert found[DatasetName("p", "eu", "e")] == ("of p", "plain", "")
    assert found[DicomStoreName("p", "eu", "d", "s-2")] == ("of p", "", "own")
    assert found[DicomStoreName("p", "eu", "d-1", "t")] == ("of p", CONDITION, "")
    assert found[DicomStoreName("q", "eu", "e", "s")] == (CONDITION, "", "")


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_page_by_page(index: SqlIndex, names: list[DatasetName | DicomStoreName], limit: int) -> None:
    found: list[DatasetName | DicomStoreName] = []
    while page := index.access.list_with_policies(limit, found[-1] if found else None):
        assert len(page) <= limit
        found += [name for name, _ in page]
    assert found == names
