"""Debian's Orthanc with its DICOMweb plugin, as a child with a directory and a port of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from benchmarks.machine import BenchmarkError
from benchmarks.service import START_SECONDS, free_port

PROGRAM = "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
INSTALL = "apt-get install orthanc orthanc-dicomweb"


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None and PLUGIN.exists()


class Orthanc:
    """From start to stop; ``home`` is a new directory. Settings are Debian's, but for access and DICOM's port."""

    def __init__(self, home: Path) -> None:
        self._home, self._port = home, free_port()
        self.web = f"http://127.0.0.1:{self._port}/dicom-web"
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=120, trust_env=False)

    def __enter__(self) -> Self:
        self._home.mkdir(parents=True)
        settings = {
            "Name": "bench",
            "StorageDirectory": str(self._home / "storage"),
            "IndexDirectory": str(self._home / "storage"),
            "StorageCompression": False,
            "HttpPort": self._port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomServerEnabled": False,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        path = self._home / "orthanc.json"
        path.write_text(json.dumps(settings))
        with open(self._home / "log", "wb") as log:
            self._process = subprocess.Popen([PROGRAM, str(path)], stdout=log, stderr=subprocess.STDOUT)
        try:
            self._await_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if self._client.get("/system").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"Orthanc did not start: {(self._home / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def load(self, files: Iterable[Path], tell: Callable[[int], None] = lambda _: None) -> None:
        """Over its own REST API, which is faster than STOW-RS; ``tell`` hears the number of files so far."""

        def post(path: Path) -> None:
            response = self._client.post("/instances", content=path.read_bytes())
            if response.status_code != 200:
                raise BenchmarkError(f"Orthanc refused {path}: {response.text[:300]}")

        with ThreadPoolExecutor(4) as pool:
            for number, _ in enumerate(pool.map(post, files), 1):
                tell(number)
