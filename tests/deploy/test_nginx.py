"""The file of nginx in docs/deploy: nginx accepts it, and it does what replicas need."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.support.nginx import TEXT, Nginx
from tests.support.server import find_port


def test_nginx_accepts_it(tmp_path: Path) -> None:
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        pytest.skip(
            "NOT TESTED: nginx or openssl is missing: apt-get install nginx-light openssl"
        )  # of the system alone
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=dicom.example.org"]
    subprocess.run([*make, "-keyout", key, "-out", chain], check=True, capture_output=True)
    text = TEXT.replace("/etc/nginx/tls", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    config = tmp_path / "nginx.conf"
    config.write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\n{text}")
    assert check(config).returncode == 0, check(config).stderr
    config.write_text(config.read_text().replace("keepalive 64;", "keepalives 64;"))
    assert check(config).returncode != 0


def check(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["nginx", "-t", "-c", config], capture_output=True, text=True, check=False)


def test_bodies_stream_and_clients_do_not_choose_their_address() -> None:
    wanted = {
        *("client_max_body_size 0", "proxy_request_buffering off", "proxy_buffering off", "proxy_http_version 1.1"),
        *("proxy_set_header X-Forwarded-For $remote_addr", 'proxy_set_header Forwarded ""'),
    }
    assert wanted <= {line.strip() for line in re.findall(r"^\s+([^#;\n]+);", TEXT, re.MULTILINE)}


class Stub(BaseHTTPRequestHandler):
    """A replica that is well, but for what needs a bucket that is away."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/away" else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def stubs(count: int) -> Iterator[list[int]]:
    """The ports of replicas."""
    made = [ThreadingHTTPServer(("127.0.0.1", 0), Stub) for _ in range(count)]
    for each in made:
        Thread(target=each.serve_forever, daemon=True).start()
    yield [each.server_port for each in made]
    for each in made:
        each.shutdown()
        each.server_close()


def test_what_every_replica_refuses_for_a_while_takes_nothing_else_away(tmp_path: Path) -> None:
    with stubs(2) as ports, standing(tmp_path, ports) as url:
        assert [httpx.get(f"{url}/away").status_code for _ in range(5)] == [503] * 5
        assert [httpx.get(f"{url}/there").status_code for _ in range(5)] == [200] * 5


def test_another_replica_answers_for_one_that_is_gone(tmp_path: Path) -> None:
    with stubs(1) as ports, standing(tmp_path, [*ports, find_port()]) as url:
        assert [httpx.get(f"{url}/there").status_code for _ in range(6)] == [200] * 6
        assert [httpx.post(f"{url}/there", content=b"x").status_code for _ in range(6)] == [200] * 6


@contextmanager
def standing(home: Path, replicas: list[int]) -> Iterator[str]:
    port = find_port()
    nginx = Nginx(home, port, replicas)
    yield f"http://127.0.0.1:{port}"
    nginx.stop()
