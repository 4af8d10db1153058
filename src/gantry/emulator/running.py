"""An emulator as a process of its own, for tests of other programs. With the standard library alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from gantry.emulator.credentials import make_credentials

_START_SECONDS, _STOP_SECONDS, _CALL_SECONDS = 60.0, 30.0, 120.0
_LOOK_SECONDS = 0.01


class RunningEmulator:
    """Runs for the time of a ``with`` block. ``home``: an empty directory for its files; ``flags`` of ``gantry
    emulator``. ``url`` has no slash at its end."""

    project, location = "gantry", "us-central1"

    def __init__(self, home: Path, flags: Sequence[str] = ()) -> None:
        self.home, self._flags, self.url = home, flags, ""
        self._opener = build_opener(ProxyHandler({}))

    def __enter__(self) -> RunningEmulator:
        command = [sys.executable, "-m", "gantry", "emulator", "--host", "127.0.0.1", "--port", "0"]
        command += ["--port-file", str(self.home / "port"), "--data", str(self.home / "data")]
        command += ["--project", self.project, "--location", self.location, "--workers", "2", *self._flags]
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.url = f"http://127.0.0.1:{self._await_port()}"
            self.credentials.write_text(json.dumps(make_credentials(self.url)), encoding="utf-8")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop()

    def _await_port(self) -> int:
        """Raises RuntimeError with the log where it does not start."""
        deadline, file = time.monotonic() + _START_SECONDS, self.home / "port"
        while not file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"gantry emulator did not start:\n{self.log}")
            time.sleep(_LOOK_SECONDS)
        return int(file.read_text(encoding="ascii"))

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.home / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def credentials(self) -> Path:
        """A file for ``GOOGLE_APPLICATION_CREDENTIALS``."""
        return self.home / "credentials.json"

    def bucket(self, name: str) -> Path:
        """The directory that is ``gs://NAME``; it is made if it is not there, and emptied before the next test."""
        path = self.home / "data" / "buckets" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def store(self, name: str) -> str:
        """The full name of the DICOM store ``DATASET/STORE``, which is made if it is not there."""
        dataset, _, store = name.partition("/")
        parent = f"projects/{self.project}/locations/{self.location}/datasets"
        self._make(f"v1/{parent}?datasetId={quote(dataset, safe='')}")
        self._make(f"v1/{parent}/{quote(dataset)}/dicomStores?dicomStoreId={quote(store, safe='')}")
        return f"{parent}/{dataset}/dicomStores/{store}"

    def dicomweb(self, store: str) -> str:
        """The address of a store for DICOMweb clients; ``store`` is its full name."""
        return f"{self.url}/v1/{store}/dicomWeb"

    def client(self, version: str = "v1") -> Any:
        """google-api-python-client for this emulator, which must be installed."""
        from google.auth.credentials import AnonymousCredentials
        from googleapiclient import discovery

        options = {"api_endpoint": self.url}
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return discovery.build("healthcare", version, credentials=nobody, client_options=options)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request of the API, JSON in and out. ``path`` begins with the version. Raises HTTPError of urllib."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data is not None else {}
        request = Request(f"{self.url}/{path}", data, headers, method=method)  # noqa: S310 - an address of ours
        with self._opener.open(request, timeout=_CALL_SECONDS) as answer:
            return json.load(answer)

    def wait(self, operation: str) -> Any:
        """The operation of this name once it has ended, whatever its end."""
        while not (found := self.call("GET", f"v1/{operation}")).get("done"):
            time.sleep(_LOOK_SECONDS)
        return found

    def reset(self) -> None:
        """Lead it back to its first state."""
        self.call("POST", "emulator/reset")

    def _make(self, path: str) -> None:
        try:
            self.call("POST", path, {})
        except HTTPError as error:
            if error.code != 409:  # it is there
                raise
