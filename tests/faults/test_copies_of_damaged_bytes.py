"""Bytes that were damaged on the disk are never copied as if they were good: a copy would get a checksum of its own,
and nobody could say any more that they are damaged. The instance stays where it is, and its original heals it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Code, DataLoss, Unavailable
from gantry.names import ResourcePath
from gantry.operations.compaction import move
from gantry.resources import Method, StoredInstance
from gantry.seams import Seams
from gantry.storage.local_blobs import LocalBlobs
from gantry.stored_bytes import find_damage
from gantry.studies.update import update_instance
from gantry.studies.uploads import Uploads
from tests.faults.bare import STORE, Bare, begin, claim_and_run, list_rows, made, upload
from tests.support.blobs import find_blobs

PATCH = [{"op": "replace", "path": "/00100020/Value/0", "value": "NEW"}]
STUDY = "studies/1.2.1"


@contextmanager
def damaged(tmp_path: Path, layout: str, at: int) -> Iterator[tuple[Bare, Seams, dict[str, StoredInstance]]]:
    """Three instances in one segment; a bit of the second is flipped. Copies are written in the ``layout``."""
    bare = Bare(tmp_path, near=True)
    with bare.opened() as seams:
        upload(seams, *(made(1, number) for number in range(3)))
    bare.layout = layout
    with bare.opened() as seams:
        rows = {row.sop_instance_uid: row for row in list_rows(seams)}
        blob = find_blobs(bare.roots[0])[rows["1.2.1.1.1"].blob_key]
        at %= blob.length
        blob.write(bytes([blob.read()[at] ^ 1]), at)
        yield bare, seams, rows


def damage_of(seams: Seams) -> dict[str, str]:
    rows = list_rows(seams)
    return {row.sop_instance_uid: find_damage(seams.blobs, row.blob_key, row.size, row.uids) for row in rows}


def check_healed_by_its_original(seams: Seams, rows: dict[str, StoredInstance]) -> None:
    after = {row.sop_instance_uid: row for row in list_rows(seams)}
    assert after["1.2.1.1.1"].blob_key == rows["1.2.1.1.1"].blob_key
    found = damage_of(seams)
    assert "checksum" in found["1.2.1.1.1"] and not found["1.2.1.1.0"] and not found["1.2.1.1.2"]
    assert not upload(seams, made(1, 1)).refused
    assert set(damage_of(seams).values()) == {""}


@pytest.mark.parametrize("layout", ["segments", "files"])
@pytest.mark.parametrize("at", [1500, -1])
def test_compaction_leaves_them_where_they_are(
    tmp_path: Path, layout: str, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    with damaged(tmp_path, layout, at) as (_, seams, rows):
        with caplog.at_level(logging.WARNING):
            assert move(seams, 1, list(rows.values())) == 2
        assert "1.2.1.1.1 cannot be moved" in caplog.text and "checksum" in caplog.text
        check_healed_by_its_original(seams, rows)


@pytest.mark.parametrize("layout", ["segments", "files"])
def test_a_change_of_class_fails_for_them_alone(tmp_path: Path, layout: str) -> None:
    with damaged(tmp_path, layout, 1500) as (_, seams, rows):
        request = {"storage_class": "NEARLINE", "resource": f"{STORE}/dicomWeb/{STUDY}", "uri": ""}
        begin(seams, Method.SET_BLOB_STORAGE_SETTINGS, request)
        done = claim_and_run(seams, "one")
        assert (done.counter.success, done.counter.failure) == (2, 1)
        assert done.error is not None and "checksum" in done.error.message
        after = {row.sop_instance_uid: row.storage_class for row in list_rows(seams)}
        assert after == {"1.2.1.1.0": "NEARLINE", "1.2.1.1.1": "STANDARD", "1.2.1.1.2": "NEARLINE"}
        check_healed_by_its_original(seams, rows)


def patch_one(seams: Seams) -> None:
    with pytest.raises(DataLoss, match="checksum"):
        uploads = Uploads(seams)
        path = ResourcePath("1.2.1", "1.2.1.1", "1.2.1.1.1")
        update_instance(seams, uploads, STORE, path, PATCH, "http://x")
    uploads.close()


def patch_study(seams: Seams) -> None:
    request = {"patch": PATCH, "web_url": "http://x", "resource": f"{STORE}/dicomWeb/{STUDY}", "uri": ""}
    begin(seams, Method.UPDATE_STUDY_METADATA, request)
    done = claim_and_run(seams, "one")
    assert done.counter.failure == 1 and done.error is not None and "checksum" in done.error.message


@pytest.mark.parametrize("patch", [patch_one, patch_study])
def test_a_patch_writes_no_new_file_of_them(tmp_path: Path, patch: Callable[[Seams], None]) -> None:
    with damaged(tmp_path, "segments", 1500) as (_, seams, rows):
        patch(seams)
        check_healed_by_its_original(seams, rows)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What the tables of contents are asked for."""
    calls: list[set[str]] = []
    real = LocalBlobs.read_crc32cs

    def read(self: LocalBlobs, keys: Any) -> dict[str, int | None]:
        calls.append(set(keys))
        return real(self, keys)

    monkeypatch.setattr(LocalBlobs, "read_crc32cs", read)
    return calls


def test_tables_are_read_once_for_all_instances_of_a_segment(tmp_path: Path, counted: list[set[str]]) -> None:
    bare = Bare(tmp_path)
    with bare.opened() as seams:
        for study in (1, 2):
            upload(seams, *(made(study, number) for number in range(20)))
        rows = list_rows(seams)
        assert move(seams, 1, rows) == 40
        assert sorted(map(len, counted)) == [20, 20]


def test_where_the_tables_cannot_be_read_nothing_is_copied(
    tmp_path: Path, counted: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with damaged(tmp_path, "segments", 1500) as (_, seams, rows):

        def refuse(self: LocalBlobs, keys: Any) -> dict[str, int | None]:
            raise Unavailable("cannot be read")

        with monkeypatch.context() as patch:
            patch.setattr(LocalBlobs, "read_crc32cs", refuse)
            assert move(seams, 1, list(rows.values())) == 0
        assert {row.blob_key for row in list_rows(seams)} == {row.blob_key for row in rows.values()}
        assert [each.status.code for each in upload(seams, made(1, 0, 2600)).refused] == [Code.ALREADY_EXISTS]
