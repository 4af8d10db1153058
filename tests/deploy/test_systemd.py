"""The units of docs/deploy/systemd."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from gantry import server

HOME = Path(__file__).parents[2] / "docs" / "deploy" / "systemd"
UNITS = {"gantry-web@.service": "serve --no-runner", "gantry-runner@.service": "run"}


def read(unit: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(HOME / unit, encoding="utf-8")
    return parser


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong(unit: str, tmp_path: Path) -> None:
    """With a program that is there in the place of Gantry's."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED: systemd-analyze is missing: apt-get install systemd")  # of the system alone
    made = tmp_path / unit.replace("@", "@1")
    made.write_text((HOME / unit).read_text(encoding="utf-8").replace("/opt/gantry/bin/gantry", "/bin/true"))
    found = subprocess.run(["systemd-analyze", "verify", "--man=no", made], capture_output=True, text=True, check=False)
    about = [line for line in found.stderr.splitlines() if made.name in line]
    assert (about, found.returncode) == ([], 0), found.stderr
    made.write_text(made.read_text().replace("Restart=on-failure", "Restart=sometimes\nNoSuchThing=1"))
    wrong = subprocess.run(["systemd-analyze", "verify", "--man=no", made], capture_output=True, text=True, check=False)
    assert "NoSuchThing" in wrong.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_a_server_is_started_again_and_has_time_to_stop(unit: str) -> None:
    service = read(unit)["Service"]
    assert service["ExecStart"] == f"/opt/gantry/bin/gantry {UNITS[unit]}"
    assert service["Restart"] == "on-failure" and read(unit)["Unit"]["StartLimitIntervalSec"] == "0"
    assert int(service["TimeoutStopSec"]) > server._END_SECONDS
    assert service["User"] == "gantry" and service["ProtectSystem"] == "strict"


def test_two_of_a_machine_share_neither_directory_nor_port() -> None:
    texts = [(HOME / unit).read_text(encoding="utf-8") for unit in UNITS]
    for name in ("GANTRY_DATA", "GANTRY_PORT"):
        lines = {line for text in texts for line in text.splitlines() if f"{name}=" in line}
        assert len(lines) == len(UNITS) and all("%i" in line for line in lines)
