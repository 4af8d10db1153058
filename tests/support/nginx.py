"""nginx with docs/deploy/nginx.conf: that file itself, with the addresses, ports and paths of a test."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "deploy" / "nginx.conf").read_text(encoding="utf-8")
_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_SERVERS = re.compile(r"^ +server ([\d.]+:\d+)([^;]*);\n", re.MULTILINE)
_TLS = re.compile(r"^\s+ssl_\w+ [^;]+;\n", re.MULTILINE)


def require() -> str:
    """The program. Skips aloud where it is missing: it comes with the system alone."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        pytest.skip("NOT TESTED: nginx is missing: apt-get install nginx-light")
    return found


def write_config(directory: Path, port: int, replicas: Sequence[int], text: str = TEXT) -> str:
    """The file's text. Clients of tests speak to ``port`` without TLS, and all paths are below ``directory``."""
    options = _SERVERS.findall(text)[0][1]
    servers = "".join(f"server 127.0.0.1:{each}{options};\n" for each in replicas)
    text = _SERVERS.sub("", text).replace("least_conn;", f"least_conn;\n{servers}")
    text = _TLS.sub("", text).replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    log = f'log_format told "$remote_addr $upstream_addr $status $request";\naccess_log {directory}/gantry.log told;'
    text = text.replace("access_log /var/log/nginx/gantry.log;", log)
    paths = "".join(f"{each}_temp_path {directory}/{each};\n" for each in _PATHS)
    text = text.replace("http {\n", f"http {{\n{paths}", 1)
    return f"daemon off;\npid {directory}/pid;\nerror_log {directory}/error.log;\n{text}"


class Nginx:
    """Stands before ``replicas`` (ports) at ``port`` until ``stop``."""

    def __init__(self, directory: Path, port: int, replicas: Sequence[int]) -> None:
        self.directory, config = directory, directory / "nginx.conf"
        directory.mkdir(exist_ok=True)
        config.write_text(write_config(directory, port, replicas))
        command = [require(), "-c", str(config), "-e", str(directory / "error.log")]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self._wait(f"http://127.0.0.1:{port}/readyz")

    def error_text(self) -> str:
        return (self.directory / "error.log").read_text(errors="replace")

    def log_text(self) -> str:
        """A line for each answer, with the address of the replica that made it."""
        return (self.directory / "gantry.log").read_text(errors="replace")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            assert self._process.poll() is None, self.error_text()
            try:
                if httpx.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, self.error_text()
            time.sleep(0.02)
