"""Containers of Azure for tests: on the tests' own server, and on azurite, Microsoft's emulator."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx

from gantry.storage.remote.azure_requests import Requests
from gantry.storage.remote.azure_signing import SharedKey
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace
from tests.support.missing import not_tested
from tests.support.s3_server import S3Server

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of the account that the emulator always has; everybody knows it."""
VERSION = "3.35.0"
CACHE = Path(__file__).parents[2] / ".cache" / "azurite"


class AzureServer(S3Server):
    """Blob Storage as ``tests.support.azure`` speaks it."""

    module = "tests.support.azure.serve"


@contextmanager
def serve_azurite() -> Iterator[str]:
    """The address of the emulator's account, with nothing in it."""
    program = _install()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["node", str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    options = ["--inMemoryPersistence", "--disableTelemetry", "--silent"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(port, process)
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _install() -> Path:
    """As in the tests of clients: into a cache, so that only the first run needs the registry."""
    if not (shutil.which("node") and shutil.which("npm")):
        not_tested("node and npm are not installed, so azurite cannot show that Azure works")
    program = CACHE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not program.exists():
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(CACHE)]
        done = subprocess.run([*command, f"azurite@{VERSION}"], capture_output=True, text=True, check=False)
        if done.returncode:
            not_tested(f"npm cannot install azurite@{VERSION}: {done.stderr[-300:]}")
    return program


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "azurite ended"
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "azurite does not answer"
            time.sleep(0.05)
        else:
            return


def describe(url: str) -> dict[str, object]:
    """What an entry of the settings says of a server."""
    return {"endpoint": url, "account": ACCOUNT, "account_key": KEY}


def make_place(url: str, container: str, **more: object) -> RemotePlace:
    return RemotePlace("azure", container, f"az://{container}", **(describe(url) | more))  # type: ignore[arg-type]


def make_container(url: str, name: str = "", **more: object) -> RemoteBucket:
    """A new and empty container."""
    place = make_place(url, name or f"b-{uuid4().hex}", **more)
    Requests(place, SharedKey(ACCOUNT, KEY)).send("PUT", "", {"restype": "container"})
    return RemoteBucket(place)
