"""A real Orthanc with its DICOMweb plugin (Debian: orthanc, orthanc-dicomweb)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextmanager
def run_orthanc(home: Path, **settings: Any) -> Iterator[httpx.Client]:
    """A client of an Orthanc whose files and index are in ``home/orthanc``, for the time of the block."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.exists():
        pytest.skip("NOT TESTED: Orthanc and its DICOMweb plugin are missing: apt-get install orthanc orthanc-dicomweb")
    port = _find_free_port()
    config = {
        "Name": "client",
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "StorageDirectory": str(home / "orthanc"),
        "IndexDirectory": str(home / "orthanc"),
        "Plugins": [str(PLUGIN)],
    }
    (home / "orthanc.json").write_text(json.dumps(config | settings))
    with (home / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(home / "orthanc.json")], stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                _wait_for(client, process)
                yield client
        finally:
            process.terminate()
            process.wait(30)


def _find_free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "Orthanc has ended"
        try:
            if client.get("/system").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("Orthanc does not start")
