"""The image of the emulator and the compose file: small, without root, looked after; their commands are commands."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from gantry.client.arguments import parser
from tests.deploy.test_containerfile import ROOT, parse
from tests.support.missing import not_tested

HERE = ROOT / "docs" / "deploy" / "emulator"


@pytest.fixture(scope="module")
def steps() -> dict[str, list[str]]:
    return parse((HERE / "Containerfile").read_text(encoding="utf-8"))


def test_its_base_is_that_of_the_server(steps: dict[str, list[str]]) -> None:
    server = parse((ROOT / "docs" / "deploy" / "Containerfile").read_text(encoding="utf-8"))
    assert steps["FROM"] == server["FROM"] and steps["USER"] == server["USER"]


def test_it_is_small_and_holds_no_secret(steps: dict[str, list[str]]) -> None:
    assert "ARG" not in steps and "ADD" not in steps and steps["COPY"] == ["gantry_dicom-*.whl /tmp/wheel/"]
    install = steps["RUN"][-1]
    assert "--no-cache-dir" in install and "[" not in install and "rm -r /tmp/wheel" in install
    assert "apt-get" not in "".join(steps["RUN"])


def test_its_commands_are_commands(steps: dict[str, list[str]]) -> None:
    entry, check = (json.loads(steps[name][0].rpartition("CMD ")[2]) for name in ("ENTRYPOINT", "HEALTHCHECK"))
    assert entry[0] == check[0] == "gantry"
    args = parser().parse_args([*entry[1:], "--bucket", "incoming"])
    assert (args.run, str(args.port)) == ("emulator.command:emulate", steps["EXPOSE"][0])
    assert parser().parse_args(check[1:]).server.endswith(f":{steps['EXPOSE'][0]}")


def test_the_compose_file_is_one() -> None:
    text = (HERE / "compose.yaml").read_text(encoding="utf-8")
    if importlib.util.find_spec("check_jsonschema") is None:
        not_tested("check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(HERE / "compose.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (flags,) = re.findall(r"command: (\[.*\])", text)
    args = parser().parse_args(["emulator", *json.loads(flags)])
    assert args.bucket == ["incoming", "outgoing"] and args.buckets == "/buckets"
