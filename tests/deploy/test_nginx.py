"""The file of nginx in docs/deploy: nginx accepts it, and it does what replicas need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "deploy" / "nginx.conf").read_text(encoding="utf-8")


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
