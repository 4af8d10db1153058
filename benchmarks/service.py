"""A Gantry server as a process of its own, spoken to over HTTP as any client would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from benchmarks.machine import BenchmarkError

Json = dict[str, Any]
START_SECONDS = 60.0
STALL_SECONDS = 300.0
"""How long an operation may stand still."""
_DATASET = "projects/bench/locations/us-central1/datasets/bench"


class Service:
    """The server, from start to stop; ``data`` and ``buckets`` are its directories. ``workers`` 0: its own default.
    ``config``: a file of settings. ``checkout``: a directory with another version of the program."""

    def __init__(
        self, data: Path, buckets: Path, workers: int = 0, config: Path | None = None, checkout: Path | None = None
    ) -> None:
        self._log = data.parent / "server.log"
        port = free_port()
        self._command = [sys.executable, "-m", "gantry", "serve", "--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--data", str(data), "--buckets", str(buckets)]
        self._command += ["--workers", str(workers)] if workers else []
        self._command += ["--config", str(config)] if config is not None else []
        self._source = {} if checkout is None else {"PYTHONPATH": str((checkout / "src").resolve(strict=True))}
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")} | self._source
        self._log.parent.mkdir(exist_ok=True)
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environ
            )
        try:
            self._await_ready()
            if self._client.get(f"/v1/{_DATASET}").status_code != 200:  # else it was there before
                created = self._call("POST", f"/v1/{_DATASET.rpartition('/')[0]}?datasetId=bench", {})
                self.wait(created["name"])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait_for_end(self, seconds: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(seconds)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return str(self._client.base_url).rstrip("/")

    def web(self, store: str) -> str:
        """The DICOMweb root of a store."""
        return f"{self.url}/v1/{_DATASET}/dicomStores/{store}/dicomWeb"

    def create_store(self, store: str) -> None:
        self._call("POST", f"/v1/{_DATASET}/dicomStores?dicomStoreId={store}", {})

    def start_import(self, store: str, uri: str) -> str:
        """The name of the operation."""
        body = {"gcsSource": {"uri": uri}}
        return str(self._call("POST", f"/v1/{_DATASET}/dicomStores/{store}:import", body)["name"])

    def start_export(self, store: str, uri_prefix: str) -> str:
        """The name of the operation."""
        body = {"gcsDestination": {"uriPrefix": uri_prefix}}
        return str(self._call("POST", f"/v1/{_DATASET}/dicomStores/{store}:export", body)["name"])

    def start_table_export(self, store: str, uri: str, as_json: bool) -> str:
        """The name of the operation, which overwrites the table."""
        schema = {"schemaJson" if as_json else "schemaFlattened": {}}
        body = {"bigqueryDestination": {"tableUri": uri, "writeDisposition": "WRITE_TRUNCATE", **schema}}
        return str(self._call("POST", f"/v1/{_DATASET}/dicomStores/{store}:export", body)["name"])

    def query(self, text: str) -> Json:
        """The answer of BigQuery's jobs.query, with its first page."""
        body = {"query": text, "useLegacySql": False, "timeoutMs": 60_000}
        return self._call("POST", "/bigquery/v2/projects/bench/queries?prettyPrint=false", body)

    def wait(self, name: str) -> Json:
        """The operation when it is done. It is asked for often while young, every 0.5 s when old (5 % of its age)."""
        start = moved = time.monotonic()
        counter = None
        while True:
            operation = self._call("GET", f"/v1/{name}")
            if operation.get("done"):
                return operation
            now = time.monotonic()
            if operation["metadata"].get("counter") != counter:
                counter, moved = operation["metadata"].get("counter"), now
            if now - moved > STALL_SECONDS:
                raise BenchmarkError(f"{name} has stood still for {STALL_SECONDS:.0f} s: {counter}")
            time.sleep(min(0.5, max(0.02, (now - start) / 20)))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if self._client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"the server did not start:\n{self._log_tail()}")
            time.sleep(0.05)

    def _call(self, verb: str, path: str, body: Json | None = None) -> Json:
        try:
            response = self._client.request(verb, path, json=body)
        except httpx.TransportError as error:
            raise BenchmarkError(f"{verb} {path}: {error!r}; the server's last words:\n{self._log_tail()}") from None
        if response.status_code != 200:
            raise BenchmarkError(f"{verb} {path}: HTTP {response.status_code}: {response.text}\n{self._log_tail()}")
        return dict(response.json())

    def _log_tail(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
