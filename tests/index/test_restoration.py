"""Stores that are taken up again for their blobs, after an index was lost: by their numbers, under their names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.errors import AlreadyExists
from gantry.index.sql import SqlIndex
from gantry.names import DicomStoreName
from gantry.resources import DicomStore
from tests.index.values import STORE

OTHER = DicomStoreName("p", "us-central1", "new", "s")


def test_which_stores_are_there_and_which_were_deleted(index: SqlIndex, store: DicomStore) -> None:
    find = index.restoration.find_stores
    assert find([store.id, store.id + 1]) == {store.id: STORE}, "one that was never here is neither"
    index.resources.delete_dicom_store(STORE)
    assert find([store.id]) == {store.id: None}


def test_a_store_gets_its_number_and_its_dataset_again(index: SqlIndex, store: DicomStore) -> None:
    for number, name in ((17, OTHER), (18, replace(OTHER, store="t")), (19, replace(STORE, store="t"))):
        index.restoration.restore_store(number, name)
        assert index.resources.get_dicom_store(name).id == number
    assert index.restoration.find_stores([17, 18, 19]).keys() == {17, 18, 19}
    assert index.resources.get_dicom_store(STORE).id == store.id


def test_a_name_that_another_store_has_is_not_given_twice(index: SqlIndex, store: DicomStore) -> None:
    with pytest.raises(AlreadyExists, match="with other blobs"):
        index.restoration.restore_store(17, STORE)
    assert index.restoration.find_stores([17]) == {}
    index.resources.delete_dicom_store(STORE)
    index.restoration.restore_store(17, STORE)
    assert index.restoration.find_stores([17, store.id]) == {17: STORE, store.id: None}
