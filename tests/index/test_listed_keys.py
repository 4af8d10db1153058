"""Keys that a listing of a directory finds there: other people may give files any name."""

from __future__ import annotations

from gantry.index.sql import SqlIndex
from gantry.resources import DicomStore
from tests.index.values import item

STRAY = "main/1/stow/1/stranger\udcff.seg"
"""A name that is no UTF-8, as ``os.fsdecode`` gives it."""


def test_no_row_names_a_file_whose_name_is_no_utf_8(index: SqlIndex, store: DicomStore) -> None:
    new = item(1)
    index.uploads.store_instances(store.id, [new])
    index.garbage.add_blobs(["main/1/2"])
    assert index.uploads.find_named([STRAY, new.blob_key]) == {new.blob_key}
    assert index.uploads.find_named([STRAY]) == set()
    assert index.restoration.list_garbage([STRAY, "main/1/2"]) == {"main/1/2"}
