"""A disk that does not even say what lies on it: callers get 503, operations wait, and nothing ends for good."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from gantry.errors import StatusError
from gantry.storage.extents import OWN_BYTES
from gantry.storage.local import LocalBlobStore
from tests.dicomweb.instances import instance
from tests.faults.failing import Faults
from tests.faults.scene import Scene
from tests.faults.test_waits import serving, stow, until_it_waits
from tests.support.descriptors import list_open, list_opened_since
from tests.support.server import counts
from tests.support.web import JSON, multipart

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("call", ["stat", "open", "write", "fsync"])
def test_the_names_of_stores_beside_the_blobs(tmp_path: Path, call: str) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        scene = Scene(server.buckets / "source", 40)
        store = server.create_store("d", "s")
        path = "main.generation" if call == "stat" else "main.stores"
        with faults.failing(call, path=path, error=errno.EIO) as rule:
            answer = stow(server, store, 1)
            assert answer.status_code == 503, answer.text
            assert rule.failed
            name = server.import_(store, "gs://source/**")
            until_it_waits(server, name, "DISK")
        assert counts(server.wait(name)) == (scene.success, scene.failure)
        assert stow(server, store, 1).status_code == 200
        assert "Traceback" not in server.log_text()


def test_the_names_of_stores_while_the_disk_is_away(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        scene = Scene(server.buckets / "source", 40)
        store = server.create_store("d", "s")
        mark = server.data / "blobs" / "main.generation"
        mark.rename(mark.with_name("elsewhere"))
        name = server.import_(store, "gs://source/**")
        until_it_waits(server, name, "DISK")
        mark.with_name("elsewhere").rename(mark)
        assert counts(server.wait(name)) == (scene.success, scene.failure)


def _read(store: LocalBlobStore) -> None:
    with store.open("a/1.dcm") as opened:
        list(opened.chunks())


def _list(store: LocalBlobStore) -> None:
    store.list_folders("a")


@pytest.mark.parametrize(
    ("call", "act"),
    [("os.fstat", _read), ("os.pread", _read), ("os.scandir", _list), ("os.fstat", LocalBlobStore.open_root)],
)
def test_an_error_of_the_disk_leaves_no_descriptor(
    tmp_path: Path, call: str, act: Callable[[LocalBlobStore], object]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.dcm").write_bytes(b"x")
    store = LocalBlobStore(str(tmp_path))
    before = list_open()
    expected = OSError if act is LocalBlobStore.open_root else StatusError
    with mock.patch(call, side_effect=OSError(errno.EIO, "no")), pytest.raises(expected):
        act(store)
    assert not list_opened_since(before)


def test_a_file_that_cannot_be_looked_at_when_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"x")
    opened = LocalBlobStore(str(tmp_path)).open("1.dcm")
    with opened, mock.patch("os.fstat", side_effect=OSError(errno.EIO, "no")), pytest.raises(StatusError):
        list(opened.chunks())


def test_an_object_that_is_closed_twice_closes_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"x")
    opened = LocalBlobStore(str(tmp_path)).open("1.dcm")
    opened.close()
    with LocalBlobStore(str(tmp_path)).open("1.dcm") as other:
        opened.close()
        assert other.read_at(0, 1) == b"x"


@pytest.mark.parametrize("range_", ["", "bytes=10-20"])
def test_stored_bytes_that_cannot_be_read(tmp_path: Path, range_: str) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        store = server.create_store("d", "s")
        assert stow(server, store, 1).status_code == 200
        path = f"v1/{store}/dicomWeb/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1"
        headers = {"accept": "application/dicom; transfer-syntax=*"} | ({"range": range_} if range_ else {})
        with faults.failing("read", path="/blobs/main/", after=1) as rule:  # the first looks whether it is there
            answer = server.request("GET", path, headers=headers)
            assert rule.failed and answer.json()["error"]["status"] == "DATA_LOSS", answer.text
        assert server.request("GET", path, headers=headers).status_code in (200, 206)
        assert "Traceback" not in server.log_text()


def test_an_instance_of_several_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        store = server.create_store("d", "s")
        assert stow(server, store, 1).status_code == 200
        content_type, body = multipart(instance(("1.2", "1.3", f"1.4.{number}")) for number in range(3))
        with faults.failing("write", path="/blobs/main/1/", after=1, times=1) as rule:
            path = f"v1/{store}/dicomWeb/studies"
            headers = {"content-type": content_type, "accept": JSON}
            answer = server.request("POST", path, content=body, headers=headers)
            assert rule.failed
        assert answer.status_code == 409
        (failed,) = answer.json()["00081198"]["Value"]
        assert failed["00081155"]["Value"] == ["1.4.1"]
        assert len(answer.json()["00081199"]["Value"]) == 2


@pytest.mark.parametrize("pixel_bytes", [4, OWN_BYTES], ids=["segment", "own file"])
@pytest.mark.parametrize("call", ["stat", "open", "read"])
def test_stored_bytes_that_cannot_be_read_now_are_not_replaced_by_others(
    tmp_path: Path, call: str, pixel_bytes: int
) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        store = server.create_store("d", "s")
        assert stow(server, store, 1, pixel_bytes).status_code == 200
        path = f"v1/{store}/dicomWeb/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1"
        headers = {"accept": "application/dicom; transfer-syntax=*"}
        before = server.request("GET", path, headers=headers).content
        (server.buckets / "b").mkdir()
        other = instance(("1.2.9", "1.2.9.1", "1.2.9.1.1"), PixelData=bytes(1000))
        (server.buckets / "b" / "other.dcm").write_bytes(other)
        with faults.failing(call, path="/blobs/main/1/stow/") as rule:
            done = server.wait(server.import_(store, "gs://b/other.dcm"))
            assert stow(server, store, 1, 1000).status_code in (409, 503)
            assert rule.failed
        assert counts(done) == (0, 1)
        assert server.request("GET", path, headers=headers).content == before


def test_an_index_that_cannot_be_looked_at(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        with faults.failing("stat", path="index.sqlite", error=errno.EIO) as rule:
            assert server.request("GET", "readyz").status_code in (200, 503)
            server.wait_until(lambda: rule.failed > 3)
        assert "Traceback" not in server.log_text()
        server.wait_until(lambda: server.request("GET", "readyz").status_code == 200)
