"""A stored instance whose bytes are lost, cut, grown or unreadable: nobody gets them as if they were whole, the error
is DATA_LOSS of that instance alone, and the original heals it when it comes again."""

from __future__ import annotations

import io
import os
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from gantry.storage.extents import SUFFIX
from tests.dicomweb.instances import instance
from tests.support.blobs import BlobOnDisk
from tests.support.gantry import Gantry
from tests.support.server import Json, counts
from tests.support.web import AS_STORED, ONE_AS_STORED, Web, parts_of, uid_path

STUDY = "1.2.77"
GOOD, BAD = (STUDY, f"{STUDY}.1", f"{STUDY}.1.1"), (STUDY, f"{STUDY}.1", f"{STUDY}.1.2")
LARGE = 2 << 20
"""Bytes of pixels of an instance that gets a file of its own."""


def cut(blob: BlobOnDisk) -> None:
    os.truncate(blob.path, blob.offset + blob.length // 2)


def empty(blob: BlobOnDisk) -> None:
    os.truncate(blob.path, blob.offset)


def grow(blob: BlobOnDisk) -> None:
    with blob.path.open("ab") as file:
        file.write(b"more")


def remove_file(blob: BlobOnDisk) -> None:
    blob.path.unlink()


def put_directory(blob: BlobOnDisk) -> None:
    blob.path.unlink()
    blob.path.mkdir()


def put_link(blob: BlobOnDisk) -> None:
    moved = blob.path.with_suffix(".moved")
    blob.path.rename(moved)
    blob.path.symlink_to(moved)


def put_pipe(blob: BlobOnDisk) -> None:
    blob.path.unlink()
    os.mkfifo(blob.path)


Damage = Callable[[BlobOnDisk], None]
OWN: tuple[Damage, ...] = (cut, empty, grow, remove_file, put_directory, put_link, put_pipe)
SHARED: tuple[Damage, ...] = (cut, empty, remove_file, put_link, BlobOnDisk.remove)
KINDS = [
    *(pytest.param((LARGE, damage), id=f"own file, {damage.__name__}") for damage in OWN),
    *(pytest.param((4, damage), id=f"segment, {damage.__name__}") for damage in SHARED),
]


def make(uids: tuple[str, str, str], pixel_bytes: int = 4, name: str = "Doe^John") -> bytes:
    side = 2 if pixel_bytes == 4 else 1024
    pixels = os.urandom(pixel_bytes)
    frames = {} if side == 2 else {"NumberOfFrames": pixel_bytes // side**2}
    return instance(uids, Rows=side, Columns=side, PixelData=pixels, PatientName=name, **frames)


_NEWEST = "WHERE sop_instance_uid = ? ORDER BY series_id DESC LIMIT 1"


class Scene(NamedTuple):
    web: Web
    good: bytes
    bad: bytes

    @property
    def blob(self) -> BlobOnDisk:
        """As the index has it: the newest with its UIDs, since every test has a store of its own."""
        data = self.web.gantry.server.data
        text = "SELECT coalesce(key, blob_key), coalesce(segment_offset, 0), size FROM instance LEFT JOIN segment ON "
        key, offset, size = run(data, f"{text} id = segment_id {_NEWEST}", BAD[2])[0]
        return BlobOnDisk(data / "blobs" / key, offset, size)

    def fetch(self) -> httpx.Response:
        return self.web.get(uid_path(*BAD), ONE_AS_STORED)

    def check_is_whole(self, data: bytes) -> None:
        """It has these bytes, and the counts are those of the rows."""
        assert self.fetch().content == data
        assert self.web.get(uid_path(*GOOD), ONE_AS_STORED).content == self.good
        check_counts(self.web.gantry, len(data) + len(self.good))


def build(gantry: Gantry, pixel_bytes: int) -> Scene:
    """The good one is imported: it shares no segment with the bad one, which is stored."""
    web, good, bad = Web(gantry), make(GOOD), make(BAD, pixel_bytes)
    gantry.put(gantry.bucket, "good.dcm", good)
    assert counts(gantry.import_("good.dcm")) == (1, 0)
    web.stored(bad)
    assert (Scene(web, good, bad).blob.path.suffix == SUFFIX) == (pixel_bytes == 4)
    return Scene(web, good, bad)


@pytest.fixture(params=KINDS)
def scene(gantry: Gantry, request: pytest.FixtureRequest) -> Scene:
    """One instance is damaged."""
    pixel_bytes, damage = request.param
    made = build(gantry, pixel_bytes)
    damage(made.blob)
    return made


def check_counts(gantry: Gantry, blob_bytes: int) -> None:
    metrics = gantry.call("GET", f"v1/{gantry.store}:getDICOMStoreMetrics")
    assert (metrics["instanceCount"], metrics["blobStorageSizeBytes"]) == ("2", str(blob_bytes))


def is_data_loss(response: httpx.Response) -> bool:
    error = response.json()["error"]
    return response.status_code == 500 and error["status"] == "DATA_LOSS" and "main/" not in error["message"]


# Nobody gets them -----------------------------------------------------------------------------------------------------


def test_every_retrieval_of_it_is_data_loss(scene: Scene) -> None:
    web, path = scene.web, uid_path(*BAD)
    answers = {
        "as stored": scene.fetch(),
        "transcoded": web.get(path, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"),
        "in parts": web.get(path, AS_STORED),
        "rendered": web.get(f"{path}/rendered", "image/png"),
        "a rendered frame": web.get(f"{path}/frames/1/rendered", "image/jpeg"),
        "a frame": web.get(f"{path}/frames/1", "application/octet-stream; transfer-syntax=*"),
        "frames": web.get(f"{path}/frames/1"),
        "a transcoded frame": web.get(f"{path}/frames/1", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"),
        "bulk data": web.get(f"{path}/bulkdata/7FE00010", "application/octet-stream"),
        "bulk data in parts": web.get(f"{path}/bulkdata/7FE00010"),
    }
    wrong = {
        name: (answer.status_code, answer.text[:300]) for name, answer in answers.items() if not is_data_loss(answer)
    }
    assert wrong == {}
    assert web.metadata(path)[0]["00080018"]["Value"] == [BAD[2]], "its header is in the index"


def test_a_patch_of_it_is_data_loss(scene: Scene) -> None:
    patch = [{"op": "replace", "path": "/00100010/Value/0/Alphabetic", "value": "New"}]
    path = f"v1beta1/{scene.web.gantry.store}/dicomWeb/{uid_path(*BAD)}/metadata"
    assert is_data_loss(scene.web.gantry.request("PATCH", path, json=patch))


@pytest.mark.parametrize("accept", [AS_STORED, "application/zip"])
def test_its_study_is_delivered_without_it(scene: Scene, accept: str) -> None:
    """The error comes behind the others, and a client sees that something is missing; or at once, where all of them
    are less than what is sent at a time."""
    received = receive_broken(scene, accept)
    assert b"DATA_LOSS" in received and BAD[2].encode() in received
    large = make((STUDY, f"{STUDY}.0", f"{STUDY}.0.1"), LARGE)
    scene.web.stored(large)
    received = receive_broken(scene, accept)
    assert any(large[at : at + 1000] in received for at in range(500_000, 600_000, 1000))
    assert scene.bad[200:600] not in received


def receive_broken(scene: Scene, accept: str) -> bytes:
    received = b""
    url = f"/{scene.web.root}/{uid_path(STUDY)}"
    try:
        with scene.web.gantry.server.client.stream("GET", url, headers={"accept": accept}) as response:
            for piece in response.iter_raw():
                received += piece
            assert response.status_code == 500 or not is_whole(received, accept)
    except httpx.RemoteProtocolError:
        pass  # broken off behind the others
    return received


def is_whole(body: bytes, accept: str) -> bool:
    if accept == "application/zip":
        return zipfile.is_zipfile(io.BytesIO(body))
    return body.rstrip().endswith(b"--")


def test_an_export_says_so_and_writes_the_others(scene: Scene) -> None:
    gantry = scene.web.gantry
    for number, mime in enumerate(("", "image/png", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50")):
        target = {"uriPrefix": f"gs://{gantry.out}/{number}"} | ({"mimeType": mime} if mime else {})
        operation = gantry.export("x", gcsDestination=target)
        check_failure(gantry, operation)
        assert not [key for key in gantry.objects(gantry.out) if key.startswith(f"{number}/") and BAD[2] in key]


def check_failure(gantry: Gantry, operation: Json) -> None:
    assert counts(operation) == (1, 1)
    ((resource, status),) = gantry.failures(operation).items()
    assert BAD[2] in resource and status["code"] == 15, status
    assert "main/" not in status["message"]


@pytest.mark.parametrize("storage_class", ["ARCHIVE", "STANDARD"])
def test_a_change_of_class_says_so_and_changes_the_others(scene: Scene, storage_class: str) -> None:
    """Also where the bytes stay where they are, and where the class is the one that it has."""
    gantry = scene.web.gantry
    path = f"v1beta1/{gantry.store}/dicomWeb/{uid_path(STUDY)}:setBlobStorageSettings"
    operation = gantry.call("POST", path, json={"blobStorageSettings": {"blobStorageClass": storage_class}})
    check_failure(gantry, gantry.wait(operation["name"], version="v1beta1"))


def test_a_patch_of_its_study_says_so_and_changes_the_others(scene: Scene) -> None:
    gantry = scene.web.gantry
    patch = [{"op": "replace", "path": "/00100010/Value/0/Alphabetic", "value": "New"}]
    started = gantry.request("PATCH", f"v1beta1/{gantry.store}/dicomWeb/{uid_path(STUDY)}/metadata", json=patch)
    check_failure(gantry, gantry.wait(started.json()["name"], version="v1beta1"))


# It heals -------------------------------------------------------------------------------------------------------------


def import_again(scene: Scene, data: bytes) -> None:
    gantry = scene.web.gantry
    gantry.put(gantry.bucket, "again/1.dcm", data)
    gantry.put(gantry.bucket, "again/2.dcm", data)  # what has come already is compared with what took its place
    assert counts(gantry.import_("again/*")) == (2, 0)


def store_again(scene: Scene, data: bytes) -> None:
    scene.web.stored(data)
    assert scene.web.store(data).status_code == 409


def put_again(scene: Scene, data: bytes) -> None:
    assert Web(scene.web.gantry, "v1beta1").store(data, method="PUT").status_code == 200


@pytest.mark.parametrize("again", [import_again, store_again, put_again])
def test_the_original_heals_it(scene: Scene, again: Callable[[Scene, bytes], None]) -> None:
    """Also where the file was removed that the server still writes to."""
    if scene.blob.path.suffix == SUFFIX and scene.blob.path.is_symlink() and again is not import_again:
        scene.web.gantry.server.restart()  # it has the file open that the link leads to
    again(scene, scene.bad)
    scene.check_is_whole(scene.bad)


@pytest.mark.parametrize("again", [import_again, store_again, put_again])
@pytest.mark.parametrize("pixel_bytes", [4, LARGE])
def test_other_bytes_are_taken_where_there_are_none_to_compare_with(
    gantry: Gantry, again: Callable[[Scene, bytes], None], pixel_bytes: int
) -> None:
    """What finds the study says what the new bytes say."""
    scene = build(gantry, pixel_bytes)
    scene.blob.remove()
    other = make(BAD, 3 * pixel_bytes if pixel_bytes > 4 else 4, "Longer^Name^Of^Another")
    again(scene, other)
    scene.check_is_whole(other)
    assert scene.web.metadata(uid_path(*BAD))[0]["00100010"]["Value"] == [{"Alphabetic": "Longer^Name^Of^Another"}]


@pytest.mark.parametrize("again", [import_again, store_again])
def test_flipped_bits_in_a_segment_heal(gantry: Gantry, again: Callable[[Scene, bytes], None]) -> None:
    """They are found by the checksum of the table of contents, once other bytes with the same UIDs come."""
    scene = build(gantry, 4)
    scene.blob.write(b"\xff", at=len(scene.bad) - 1 if scene.bad[-1] != 255 else len(scene.bad) - 2)
    again(scene, scene.bad)
    scene.check_is_whole(scene.bad)


@pytest.mark.parametrize("pixel_bytes", [4, LARGE])
def test_good_bytes_are_kept(gantry: Gantry, pixel_bytes: int) -> None:
    scene = build(gantry, pixel_bytes)
    other = make(BAD, pixel_bytes)
    gantry.put(gantry.bucket, "other.dcm", other)
    operation = gantry.import_("other.dcm")
    assert counts(operation) == (0, 1)
    assert gantry.failures(operation)["other.dcm"]["code"] == 6
    assert scene.web.store(other).status_code == 409
    scene.check_is_whole(scene.bad)


PACKS = {
    "lost": "DELETE FROM header_pack WHERE id = ?",
    "no pack": "UPDATE header_pack SET data = x'00' WHERE id = ?",
    "of another": "UPDATE header_pack SET data = (SELECT data FROM header_pack WHERE id <> ?1 LIMIT 1) WHERE id = ?1",
}


@pytest.mark.parametrize("again", [import_again, store_again, put_again])
@pytest.mark.parametrize("damage", PACKS)
def test_a_damaged_header_heals(gantry: Gantry, damage: str, again: Callable[[Scene, bytes], None]) -> None:
    scene = build(gantry, 4)
    before = pack_of_bad(gantry)
    run(gantry.server.data, PACKS[damage], before)
    if damage != "of another":
        assert scene.web.metadata(uid_path(*BAD))[0]["00080018"]["Value"] == [BAD[2]], "it is read from the file"
    again(scene, scene.bad)
    assert pack_of_bad(gantry) != before
    scene.check_is_whole(scene.bad)


def test_with_both_gone_its_metadata_is_data_loss_and_it_can_be_deleted(gantry: Gantry) -> None:
    scene = build(gantry, 4)
    scene.blob.remove()
    run(gantry.server.data, "DELETE FROM header_pack WHERE id = ?", pack_of_bad(gantry))
    assert is_data_loss(scene.web.get(f"{uid_path(*BAD)}/metadata", "application/dicom+json"))
    assert len(scene.web.metadata(uid_path(STUDY))) == 2
    assert gantry.request("DELETE", f"{scene.web.root}/{uid_path(*BAD)}").status_code == 200
    assert len(scene.web.metadata(uid_path(STUDY))) == 1
    (part,) = parts_of(scene.web.get(uid_path(STUDY), AS_STORED))
    assert part.data == scene.good


def pack_of_bad(gantry: Gantry) -> int:
    return int(run(gantry.server.data, f"SELECT pack_id FROM instance {_NEWEST}", BAD[2])[0][0])


def run(data: Path, text: str, *values: object) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(data / "index.sqlite", timeout=60, isolation_level=None)
    try:
        return connection.execute(text, values).fetchall()
    finally:
        connection.close()
