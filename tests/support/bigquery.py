"""An emulator of BigQuery in a process of its own, with libraries of its own: it needs an older DuckDB than we use."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.support.server import find_port

_ROOT = Path(__file__).parents[2]
_HOME = _ROOT / ".venv-bigquery"
_WANTED = _ROOT / "requirements" / "bigquery-emulator.txt"
_EXTENSIONS = 'from duckdb_extensions import import_extension as add; add("spatial"); add("avro")'
_START_SECONDS = 90


def find_program() -> Path:
    """Installs it the first time, which takes a minute; one process at a time."""
    with open(_HOME.with_name(f"{_HOME.name}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _install()
    return _HOME / "bin" / "bqemulator"


def _install() -> None:
    mark = _HOME / ".installed"
    if not mark.exists() or mark.read_text() != _WANTED.read_text():
        subprocess.run([sys.executable, "-m", "venv", str(_HOME)], check=True)
        python = _HOME / "bin" / "python"
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(_WANTED)]
        subprocess.run(pip, check=True)
        subprocess.run([str(python), "-c", _EXTENSIONS], check=True, env=_environ())
        mark.write_text(_WANTED.read_text())


def _environ() -> dict[str, str]:
    """DuckDB keeps its extensions below HOME."""
    return os.environ | {"HOME": str(_HOME)}


class BigQueryEmulator:
    def __init__(self, directory: Path) -> None:
        port = find_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [str(find_program()), "start", "--rest-port", str(port), "--grpc-port", "0", "--project", "p"]
        self._log = directory / "bigquery.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=_environ())
        self._await_ready()
        self.client = bigquery.Client(
            "p",
            AnonymousCredentials(),
            client_options={"api_endpoint": self.url},  # type: ignore[no-untyped-call]
        )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                httpx.get(self.url, timeout=5, trust_env=False)
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the emulator of BigQuery did not start:\n{self._log.read_text()[-2000:]}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def emulating(directory: Path) -> Iterator[BigQueryEmulator]:
    made = BigQueryEmulator(directory)
    try:
        yield made
    finally:
        made.close()
