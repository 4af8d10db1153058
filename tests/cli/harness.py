"""Running the real command line as a subprocess, against a real server or one that answers what a test wants."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pydicom
import pytest

from tests.support import prepared

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("GANTRY_")}
CT, MR, SR = (FILES / name for name in ("CT_small.dcm", "MR_small.dcm", "test-SR.dcm"))


def run(*arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """``gantry ARGUMENTS`` without a terminal."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, "-m", "gantry", *arguments]
    return prepared.run(command, env=ENVIRON | dict(env or {}), text=True, timeout=60, **options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running ``gantry serve`` and its buckets."""

    url: str
    buckets: Path

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return run(*arguments, env={"GANTRY_SERVER": self.url} | dict(env or {}), **options)

    def bucket(self, name: str, objects: Mapping[str, bytes] | None = None) -> Path:
        """``gs://name`` with these objects."""
        for key, data in (objects or {}).items():
            path = self.buckets / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (self.buckets / name).mkdir(exist_ok=True)
        return self.buckets / name


def await_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            urlopen(f"{url}/healthz").close()  # noqa: S310
            return
        except URLError:
            time.sleep(0.1)
    pytest.fail(f"the server did not start: {log.read_text()}")


@dataclass
class Stub:
    """Answers with ``answer(verb, path)``: a status and a body."""

    answer: Callable[[str, str], tuple[int, Any]] = lambda _verb, _path: (404, {})
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""
