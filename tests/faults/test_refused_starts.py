"""A start that is refused has worked on nothing: no operation was claimed, no schema changed, nobody was answered."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.faults.house import House
from tests.faults.scene import blobs
from tests.support import prepared


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in which an import waits for a runner."""
    house = House(tmp_path)
    house.close()
    return house.data


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def attempts(data: Path) -> int:
    engine = create_engine(f"sqlite:///{data / 'index.sqlite'}")
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT max(attempt) FROM operation")).scalar_one())


def start(data: Path, *flags: str, **env: str) -> tuple[int, str]:
    """Exit code and output of a start that must end by itself."""
    command = [sys.executable, "-m", "gantry", "serve", "--data", str(data), "--workers", "1", *flags]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")} | env
    done = prepared.run(command, env=environ, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def broken(tmp_path: Path, name: str, taken: int) -> tuple[dict[str, str], str]:
    """Settings that are refused, and what is said of them."""
    (tmp_path / "rubbish").write_text("rubbish")
    (tmp_path / "tokens").write_text("short nobody\n")
    (tmp_path / "tokens").chmod(0o600)
    rubbish, none = str(tmp_path / "rubbish"), str(tmp_path / "none")
    secured = {"GANTRY_AUTH": "required"}
    found = {
        "no tokens file": (secured | {"GANTRY_TOKENS_FILE": none}, "tokens_file"),
        "wrong tokens file": (secured | {"GANTRY_TOKENS_FILE": str(tmp_path / "tokens")}, "tokens_file"),
        "wrong admin": (secured | {"GANTRY_ADMINS": "nobody in particular"}, "nobody"),
        "no certificate": ({"GANTRY_TLS_CERT": none, "GANTRY_TLS_KEY": rubbish}, "tls_cert"),
        "no key": ({"GANTRY_TLS_CERT": rubbish, "GANTRY_TLS_KEY": none}, "tls_key"),
        "a key that is none": ({"GANTRY_TLS_CERT": rubbish, "GANTRY_TLS_KEY": rubbish}, "tls_key"),
        "an audit log that cannot be made": ({"GANTRY_AUDIT_LOG": f"{none}/audit"}, "audit_log"),
        "a port in use": ({"GANTRY_PORT": str(taken)}, "address already in use"),
        "a data directory below a file": ({"GANTRY_DATA": f"{rubbish}/data"}, "a part of its path is no directory"),
        "buckets below a file": ({"GANTRY_BUCKETS": f"{rubbish}/b"}, "a part of its path is no directory"),
        "an address of another machine": (secured | {"GANTRY_HOST": "192.0.2.1"}, "192.0.2.1"),
    }
    return found[name]


@pytest.mark.parametrize(
    "name",
    [
        *("no tokens file", "wrong tokens file", "wrong admin", "no certificate", "no key", "a key that is none"),
        *("an audit log that cannot be made", "a port in use", "an address of another machine"),
        *("a data directory below a file", "buckets below a file"),
    ],
)
def test_it_has_worked_on_nothing(tmp_path: Path, data: Path, taken: int, name: str) -> None:
    settings, said = broken(tmp_path, name, taken)
    before = (data / "index.sqlite").read_bytes(), blobs(data)
    code, output = start(Path(settings.pop("GANTRY_DATA", data)), **{"GANTRY_PORT": "0"} | settings)
    assert code not in (0, -9) and said in output, output
    assert "Traceback" not in output
    assert "attempt" not in output
    assert ((data / "index.sqlite").read_bytes(), blobs(data)) == before
    assert attempts(data) == 0
