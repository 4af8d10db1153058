"""The real server as a subprocess, driven over HTTP as any client would."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.support.databases import SETTING, environ_of
from tests.support.prepared import Popen

Json = dict[str, Any]
PROJECT, LOCATION = "p", "us-central1"
START_SECONDS = 60
WAIT_SECONDS = 120
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. To read the certificates of all authorities, as httpx does for each client, takes 20 ms."""


class GantryServer:
    """``python -m gantry serve`` on ``data`` and ``buckets``; the constructor returns when it is ready.
    ``command``: with more flags, or another command that serves.

    ``restart`` starts again on the same directories and, if it is still free, the same port. ``prepared``: the process
    may be a copy of one that has imported all modules (`tests.support.prepared`).
    """

    def __init__(
        self,
        data: Path | str,
        buckets: Path | str,
        *,
        port: int = 0,
        workers: int = 2,
        env: dict[str, str] | None = None,
        python: Path | str = sys.executable,
        log: Path | None = None,
        prepared: bool = True,
        command: tuple[str, ...] = ("serve",),
    ) -> None:
        self.data, self.buckets = Path(data), Path(buckets)
        self.log = log or self.data.parent / f"{self.data.name}.log"
        self.port, self.workers, self.env = port, workers, env or {}
        self.python, self.command = str(python), command
        self._popen = Popen if prepared else subprocess.Popen
        self.buckets.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """That of its process, and of commands on its data directory."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")}
        return environ | ({} if SETTING in self.env else environ_of(self.data)) | self.env

    # Life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start and wait for ``/readyz``. Raises AssertionError with the server's own words when it does not come."""
        for attempt in range(3):
            self.port = self.port if self.port and not attempt else find_port()
            self._spawn()
            if self._ready():
                self.client = make_client(self.url)
                return
            if "address already in use" not in self.log_text():
                break
        raise AssertionError(f"the server did not start:\n{self.log_text()[-4000:]}")

    def stop(self) -> None:
        """SIGTERM; the server must end by itself, with exit code 0."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
        assert self.process.returncode == 0, f"exit code {self.process.returncode}:\n{self.log_text()[-4000:]}"

    def kill9(self) -> None:
        """SIGKILL to the server alone, as the kernel would do it: no goodbye, its workers find out by themselves."""
        self.client.close()
        self.process.kill()
        self.process.wait(timeout=60)

    def restart(self) -> None:
        """Start again; stops first if it still runs."""
        if self.process.poll() is None:
            self.stop()
        self.start()

    def log_text(self) -> str:
        """Everything the server has written to stdout and stderr, over all its lives."""
        return self.log.read_text(errors="replace")

    def _spawn(self) -> None:
        command = [self.python, "-m", "gantry", *self.command, "--port", str(self.port)]
        command += ["--workers", str(self.workers)]
        command += ["--data", str(self.data), "--buckets", str(self.buckets)]
        with self.log.open("ab") as log:
            self.process = self._popen(command, stdout=log, stderr=log, env=self.environ)

    def _ready(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                break
            time.sleep(0.02)
        return False

    def _answers(self) -> bool:
        """Without a client of httpx: to make one takes longer than to ask."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # Requests --------------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, **kw: Any) -> httpx.Response:
        """One request; ``path`` begins with the version (``v1/projects/…``). ``kw`` as for ``httpx.request``."""
        return self.client.request(method, "/" + path.lstrip("/"), **kw)

    def call(self, method: str, path: str, **kw: Any) -> Json:
        """One request that must succeed; its JSON."""
        response = self.request(method, path, **kw)
        assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def create_store(self, dataset: str, store: str, *, project: str = PROJECT, location: str = LOCATION) -> str:
        """A DICOM store, and its dataset unless that exists; the store's full name."""
        parent = f"projects/{project}/locations/{location}/datasets"
        made = self.request("POST", f"v1/{parent}?datasetId={dataset}")
        assert made.status_code in (200, 409), made.text
        return self.call("POST", f"v1/{parent}/{dataset}/dicomStores?dicomStoreId={store}")["name"]

    def import_(self, store: str, uri: str, *, version: str = "v1", **body: Any) -> str:
        """Start an import; the operation's name. ``body`` adds fields to the request."""
        return self.call("POST", f"{version}/{store}:import", json={"gcsSource": {"uri": uri}} | body)["name"]

    def export(self, store: str, uri_prefix: str, *, version: str = "v1", **body: Any) -> str:
        """Start an export; the operation's name. ``body`` adds fields to the request."""
        request = {"gcsDestination": {"uriPrefix": uri_prefix}} | body
        return self.call("POST", f"{version}/{store}:export", json=request)["name"]

    def operation(self, name: str, *, version: str = "v1") -> Json:
        return self.call("GET", f"{version}/{name}")

    def wait(self, name: str, *, version: str = "v1", seconds: float = WAIT_SECONDS) -> Json:
        """The operation once it is done. Raises AssertionError when it is not within ``seconds``."""
        deadline, pause = time.monotonic() + seconds, 0.01
        while not (operation := self.operation(name, version=version)).get("done"):
            assert time.monotonic() < deadline, f"not done in {seconds} s: {operation}\n{self.log_text()[-2000:]}"
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        return operation

    def wait_until(self, holds: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Return when ``holds`` does. Raises AssertionError when it does not within ``seconds``."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not so in {seconds} s\n{self.log_text()[-2000:]}"
            time.sleep(0.05)

    def failures(self, name: str) -> list[tuple[str, Json]]:
        """(resource, status) of every error in an operation's error log, in order; without warnings."""
        found: list[tuple[str, Json]] = []
        token = ""
        while True:
            page = self.call("GET", f"logs/{name}", params={"pageSize": 1000, "pageToken": token})
            for entry in page.get("entries", []):
                payload = entry["jsonPayload"]
                if entry["severity"] == "ERROR":
                    found.append((payload.get("source") or payload["resourceName"], payload["error"]))
            token = page.get("nextPageToken", "")
            if not token:
                return found


def make_client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60, verify=_NO_TLS)


def counts(operation: Json) -> tuple[int, int]:
    """(success, failure) of an operation."""
    counter = operation["metadata"].get("counter", {})
    return int(counter.get("success", 0)), int(counter.get("failure", 0))


def pending(operation: Json) -> int:
    return int(operation["metadata"].get("counter", {}).get("pending", 0))


def find_port() -> int:
    """One that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
