"""A second server on one data directory is refused at once; one whose predecessor is dying waits for it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry import config
from gantry.errors import FailedPrecondition
from gantry.settings.loading import load_settings
from tests.support.server import GantryServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    running = GantryServer(tmp_path / "data", tmp_path / "buckets")
    yield running
    if running.process.poll() is None:
        running.stop()


def open_again(server: GantryServer) -> config.DataDirectory:
    return config.DataDirectory(load_settings({"data": str(server.data), "buckets": str(server.buckets)}, {}))


def test_beside_a_server_that_goes_on_nobody_waits(server: GantryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_WAIT_SECONDS", 1e9)
    with pytest.raises(FailedPrecondition, match="in use by another gantry server"):
        open_again(server)
    with pytest.raises(FailedPrecondition, match="in use"), config.hold_alone(server.data):
        pass


def test_what_a_dead_server_has_left_is_waited_for(server: GantryServer) -> None:
    """Its workers hold the lock until they notice."""
    server.stop()
    left = os.open(server.data / "lock", os.O_RDWR)
    fcntl.flock(left, fcntl.LOCK_EX)
    end = threading.Timer(0.3, os.close, (left,))
    end.start()
    open_again(server).close()
    end.join()


def goes_on(lock: Path) -> bool:
    """What another process sees: locks of this kind are of a process."""
    program = f"import os, gantry.config as c; print(c._is_running(os.open({str(lock)!r}, os.O_RDWR)))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"True\n"


@pytest.mark.slow
def test_a_server_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    first = config.DataDirectory(load_settings({"data": str(tmp_path)}, {}))
    assert goes_on(tmp_path / "lock")
    first.leave()
    assert not goes_on(tmp_path / "lock")
    first.close()
