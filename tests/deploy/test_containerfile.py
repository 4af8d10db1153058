"""The Containerfile: pinned, without root and without secrets."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.missing import not_tested

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "deploy" / "Containerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def steps() -> dict[str, list[str]]:
    return parse(TEXT)


def parse(text: str) -> dict[str, list[str]]:
    """The values of each instruction, in their order."""
    if importlib.util.find_spec("dockerfile_parse") is None:
        not_tested("dockerfile-parse is missing: pip install dockerfile-parse")
    from dockerfile_parse import DockerfileParser

    found: dict[str, list[str]] = {}
    structure: list[dict[str, Any]] = DockerfileParser(fileobj=io.BytesIO(text.encode())).structure
    for each in structure:
        found.setdefault(each["instruction"], []).append(each["value"])
    return found


def test_the_base_is_one_version(steps: dict[str, list[str]]) -> None:
    (base,) = steps["FROM"]
    found = re.fullmatch(r"docker\.io/library/python:(3\.\d+)\.\d+-slim-\w+", base)
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert found and f"Programming Language :: Python :: {found[1]}" in classifiers


def test_it_does_not_run_as_root(steps: dict[str, list[str]]) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", steps["USER"][-1])
    user = steps["USER"][-1].partition(":")[0]
    manifests = (ROOT / "docs" / "deploy" / "kubernetes" / "deployment-web.yaml").read_text()
    assert f"--uid {user} " in TEXT and f"runAsUser: {user}\n" in manifests


def test_it_holds_no_secret(steps: dict[str, list[str]]) -> None:
    assert "ARG" not in steps and "ADD" not in steps
    assert not re.search(r"(?i)password|secret_|token|access_key", "\n".join(steps["ENV"] + steps["RUN"]))
    assert steps["COPY"] == ["gantry_dicom-*.whl /tmp/wheel/"]


def test_it_installs_the_extras_that_several_servers_need(steps: dict[str, list[str]]) -> None:
    (extras,) = re.findall(r"pip install --no-cache-dir \"\$wheel\[([\w,]+)\]\"", TEXT)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"auth", "postgresql", "s3", "pixels"} <= set(extras.split(",")) <= set(known)


def test_it_is_looked_after(steps: dict[str, list[str]]) -> None:
    command = json.loads(steps["HEALTHCHECK"][0].partition("CMD ")[2])
    assert command[:2] == ["python", "-c"] and "/healthz" in command[2]
    compile(command[2], "healthcheck", "exec")
    assert json.loads(steps["ENTRYPOINT"][0]) == ["gantry"] and json.loads(steps["CMD"][0]) == ["serve"]
