"""``gantry emulator`` as a process on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.support.prepared import Popen
from tests.support.server import Json

STORE = "projects/gantry/locations/us-central1/datasets/radiology/dicomStores/main"
_START_SECONDS = 60


class Emulator:
    """Runs from the constructor to ``stop``; ``home`` is an empty directory for its log and its temporary files."""

    def __init__(self, home: Path, *flags: str, before: tuple[str, ...] = (), port: int = 0) -> None:
        self.home, self.log, port_file = home, home / "log", home / "port"
        (home / "tmp").mkdir()
        command = [*before, sys.executable, "-m", "gantry", "emulator", "--workers", "1"]
        command += ["--port", str(port), "--port-file", str(port_file), *flags]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")}
        environ |= {"TMPDIR": str(home / "tmp")}
        with self.log.open("wb") as log:
            self.process: subprocess.Popen[Any] = Popen(command, stdout=log, stderr=log, env=environ)
        deadline = time.monotonic() + _START_SECONDS
        while not port_file.exists():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        self.port = int(port_file.read_text())
        self.url = f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, **kw: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}/{path}", trust_env=False, timeout=60, **kw)

    def call(self, method: str, path: str, **kw: Any) -> Json:
        answer = self.request(method, path, **kw)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def reset(self) -> None:
        assert self.call("POST", "emulator/reset") == {}

    def count(self) -> int:
        """Instances of STORE."""
        return int(self.call("GET", f"v1/{STORE}:getDICOMStoreMetrics").get("instanceCount", 0))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.log.read_text()
