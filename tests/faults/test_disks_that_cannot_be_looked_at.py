"""A disk that does not even say what lies on it: callers get 503, operations wait, and nothing ends for good."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from gantry.errors import StatusError
from gantry.storage.local import LocalBlobStore
from tests.faults.failing import Faults
from tests.faults.scene import Scene
from tests.faults.test_waits import serving, stow, until_it_waits
from tests.support.server import counts


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
    before = len(os.listdir("/proc/self/fd"))
    expected = OSError if act is LocalBlobStore.open_root else StatusError
    with mock.patch(call, side_effect=OSError(errno.EIO, "no")), pytest.raises(expected):
        act(store)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_cannot_be_looked_at_when_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"x")
    opened = LocalBlobStore(str(tmp_path)).open("1.dcm")
    with opened, mock.patch("os.fstat", side_effect=OSError(errno.EIO, "no")), pytest.raises(StatusError):
        list(opened.chunks())


def test_an_index_that_cannot_be_looked_at(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        with faults.failing("stat", path="index.sqlite", error=errno.EIO) as rule:
            assert server.request("GET", "readyz").status_code in (200, 503)
            server.wait_until(lambda: rule.failed > 3)
        assert "Traceback" not in server.log_text()
        server.wait_until(lambda: server.request("GET", "readyz").status_code == 200)
