"""What developers and CI install is pinned, with hashes, and is what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
PINNED = re.compile(
    r"^(?P<name>[a-z0-9.-]+)(?:\[[^\]]*\])?==(?P<version>\S+)(?: ; (?P<marker>.*?))? \\\n(?P<rest>(?: .*\n)*)", re.M
)


def test_everything_that_is_asked_for_is_locked_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [
        Requirement(text) for text in (*project["dependencies"], *extras["auth"], *extras["pixels"], *extras["dev"])
    ]
    locked = {found["name"]: found["version"] for found in PINNED.finditer(LOCK)}
    for each in asked:
        if each.name != project["name"]:
            version = locked.get(canonicalize_name(each.name))
            assert version is not None and each.specifier.contains(version), f"./run lock: {each} is not in the lock"


def test_every_line_has_hashes() -> None:
    lines = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    found = list(PINNED.finditer(LOCK))
    assert len(found) == len(lines) > 50
    assert all("--hash=sha256:" in each["rest"] for each in found)
