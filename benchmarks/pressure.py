"""Clients that press on a server, each kind from a process of its own: ``python -m benchmarks.pressure < plan``.

A plan is the JSON of ``Pressure``. The process runs until it is ended, then prints the number of answers by status.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_NICENESS = 10
"""Of the processes that press: on another machine, as clients are, they would take nothing from the server."""
_BOUNDARY = "gantry-benchmark"


@dataclass(frozen=True)
class Pressure:
    """``kind`` is one of KINDS; ``path`` what each of the ``connections`` asks for again and again.

    ``files`` are sent as the parts of a STOW request, where the kind sends something.
    """

    kind: str
    base: str
    path: str
    connections: int
    files: tuple[str, ...] = ()
    accept: str = "*/*"

    def connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self.base)
        return http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)

    @property
    def target(self) -> str:
        return urlsplit(self.base).path + self.path


def fetch(plan: Pressure, count: Callable[[object], None]) -> None:
    """Ask, read all, ask again."""
    connection = plan.connect()
    while True:
        connection.request("GET", plan.target, headers={"Accept": plan.accept})
        response = connection.getresponse()
        while response.read(1 << 20):
            pass
        count(response.status)


def leave(plan: Pressure, count: Callable[[object], None]) -> None:
    """Ask, and go away before the answer comes."""
    while True:
        connection = plan.connect()
        connection.request("GET", plan.target, headers={"Accept": plan.accept})
        time.sleep(0.05)
        connection.close()
        count("left")


def upload(plan: Pressure, count: Callable[[object], None]) -> None:
    """Store the files again and again."""
    body = _multipart(plan.files)
    connection = plan.connect()
    while True:
        connection.request("POST", plan.target, body, _stow_headers())
        response = connection.getresponse()
        response.read()
        count(response.status)


def send_slowly(plan: Pressure, count: Callable[[object], None]) -> None:
    """Store the files, a byte every second."""
    body = _multipart(plan.files)
    while True:
        connection = plan.connect()
        connection.putrequest("POST", plan.target)
        for name, value in (_stow_headers() | {"Content-Length": str(len(body))}).items():
            connection.putheader(name, value)
        connection.endheaders()
        try:
            for position in range(len(body)):
                connection.send(body[position : position + 1])
                time.sleep(1)
        except OSError:
            count("closed")
        connection.close()


def read_slowly(plan: Pressure, count: Callable[[object], None]) -> None:
    """Ask for much, and read a few bytes a second."""
    while True:
        connection = plan.connect()
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.request("GET", plan.target, headers={"Accept": plan.accept})
        response = connection.getresponse()
        count(response.status)
        while response.read(16):
            time.sleep(1)
        connection.close()


KINDS = {each.__name__: each for each in (fetch, leave, upload, send_slowly, read_slowly)}


def _multipart(files: tuple[str, ...]) -> bytes:
    body = b""
    for name in files:
        with open(name, "rb") as file:
            body += f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file.read() + b"\r\n"
    return body + f"--{_BOUNDARY}--\r\n".encode()


def _stow_headers() -> dict[str, str]:
    return {"Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'}


class Pressing:
    """The process of a plan while the block runs; ``answers`` by status are there after it."""

    def __init__(self, plan: Pressure) -> None:
        self.plan = plan
        self.answers: dict[str, int] = {}

    def __enter__(self) -> Self:
        command = ["nice", "-n", str(_NICENESS), sys.executable, "-m", "benchmarks.pressure"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asdict(self.plan)))
        self._process.stdin.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        assert self._process.stdout
        self.answers = json.loads(self._process.stdout.read() or "{}")
        self._process.wait()


def _press(plan: Pressure, count: Callable[[object], None]) -> None:
    while True:
        try:
            KINDS[plan.kind](plan, count)
        except (OSError, http.client.HTTPException) as error:
            count(type(error).__name__)
            time.sleep(0.1)


def main() -> None:
    plan = Pressure(**json.load(sys.stdin))
    answers: Counter[str] = Counter()
    lock = threading.Lock()

    def count(status: object) -> None:
        with lock:
            answers[str(status)] += 1

    for _ in range(plan.connections):
        threading.Thread(target=_press, args=(plan, count), daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    with lock:
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
