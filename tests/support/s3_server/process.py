"""The server as a process of its own, and how its parent tells it what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[3]


class S3Server:
    def __init__(self, url: str) -> None:
        self.url = url

    def fail(self, kind: str, match: str = "", **more: Any) -> None:
        """Requests meet a fault (``faults.Fault``) from now on."""
        httpx.post(f"{self.url}/-/fail", json={"kind": kind, "match": match, **more}).raise_for_status()

    def clear(self) -> None:
        """No more faults; counts begin at 0."""
        httpx.post(f"{self.url}/-/clear").raise_for_status()

    @property
    def met(self) -> dict[str, int]:
        """How often each kind of fault was met."""
        return dict(httpx.get(f"{self.url}/-/counts").json()["met"])

    @property
    def requests(self) -> dict[str, int]:
        return dict(httpx.get(f"{self.url}/-/counts").json()["requests"])


@contextmanager
def serve(latency: float = 0.0) -> Iterator[S3Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.support.s3_server", str(port), str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield S3Server(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
