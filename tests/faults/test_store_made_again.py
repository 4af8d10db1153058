"""A store that is deleted and made again under its name: a rebuild brings back the new one, and not the old."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gantry.names import DicomStoreName
from gantry.operations.sweeper import sweep_stores
from gantry.storage.store_records import read_records
from tests.faults.bare import STORE, Bare, create_store, list_rows, made, upload
from tests.faults.lost import lose_index

OTHER = DicomStoreName("p", "us-central1", "d", "other")


@pytest.mark.parametrize("second", ["with instances", "empty"])
@pytest.mark.parametrize("held", [True, False])
def test_the_newest_store_keeps_the_name(tmp_path: Path, second: str, held: bool) -> None:
    """The index is lost before a sweep has removed the old one: a backup holds it up, or the server is killed."""
    bare = Bare(tmp_path)
    with bare.opened() as seams:
        upload(seams, made(1, 1))
        seams.index.resources.delete_dicom_store(STORE)
        number = create_store(seams)
        if held:
            (bare.data / "hold").touch()
            sweep_stores(seams, threading.Event(), set())
            assert read_records(str(bare.roots[0]), "main") == {1: None}, "its blobs stay, its name does not"
        if second == "with instances":
            upload(seams, made(2, 1))
    with bare.opened():
        pass  # the names of stores without blobs are kept, too
    before = bare.bytes_on_disk()
    lose_index(bare.data)
    summary = bare.rebuild()
    (old,) = [each for each in summary.stores if each.store_id == 1]
    assert old.problem and old.restored == 0 and "deleted" in old.problem
    with bare.opened() as seams:
        stored = [row.study_instance_uid for row in list_rows(seams, number)]
        assert stored == (["1.2.2"] if second == "with instances" else [])
        assert list_rows(seams, 1) == []
    assert bare.bytes_on_disk() == before


def test_the_old_one_is_taken_up_under_another_name(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    with bare.opened() as seams:
        upload(seams, made(1, 1))
        seams.index.resources.delete_dicom_store(STORE)
        create_store(seams)
        upload(seams, made(2, 1))
    lose_index(bare.data)
    (old, _) = bare.rebuild().stores
    assert "--store 1=" in old.problem
    assert [each.restored for each in bare.rebuild({1: OTHER, 2: STORE}).stores] == [1, 0]
