"""A real server for a module, and a stub for a test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.harness import ENVIRON, Server, Stub, await_server, free_port
from tests.support.databases import environ_of
from tests.support.prepared import Popen


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "buckets").mkdir()
    port = free_port()
    command = [sys.executable, "-m", "gantry", "serve", "--port", str(port), "--workers", "1"]
    command += ["--data", str(folder / "data"), "--buckets", str(folder / "buckets")]
    with (folder / "log").open("wb") as log:
        process = Popen(command, stdout=log, stderr=log, env=ENVIRON | environ_of(folder / "data"))
    try:
        url = f"http://127.0.0.1:{port}"
        await_server(url, process, folder / "log")
        yield Server(url, folder / "buckets")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def store(server: Server) -> str:
    """``DATASET/STORE`` of a store that exists."""
    assert server("stores", "create", "cli/main").returncode == 0
    return "cli/main"


@pytest.fixture
def stub() -> Iterator[Stub]:
    found = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.requests.append((self.command, self.path))
            found.headers.append({name.lower(): value for name, value in self.headers.items()})
            found.bodies.append(self.rfile.read(int(self.headers.get("content-length") or 0)))
            status, body = found.answer(self.command, self.path)
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_DELETE = do_PATCH = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    found.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
