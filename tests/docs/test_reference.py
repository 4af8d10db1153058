"""What the reference pages list is what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from gantry.client.arguments import parser
from gantry.server import _PAGES
from gantry.settings.loading import Settings

ROOT = Path(__file__).parents[2]


def test_every_setting_stands_in_the_settings_page_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`GANTRY_([A-Z_]+)` \| `", page))
    assert listed == {field.name.upper() for field in fields(Settings)}
    for name in ("host", "port", "data"):
        assert f"| `{name}` | `{getattr(Settings(), name)}` |" in page


def test_every_flag_of_serve_is_a_setting() -> None:
    flags = vars(parser().parse_args(["serve"])).keys() - {"run", "config", "version"}
    assert flags <= {field.name for field in fields(Settings)}


def test_every_page_beside_the_api_is_named() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert all(f"/{name}" in page for name in _PAGES)


def test_every_file_of_the_plan_exists() -> None:
    plan = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    names = re.findall(r"[\w/]+\.py|\b(?:client|operations|index|api)/", plan)
    assert len(names) > 20
    source = ROOT / "src" / "gantry"
    found = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    for name in names:
        if name.endswith("/"):
            assert (source / name).is_dir(), name
        else:
            assert any(path == name or path.endswith("/" + name) for path in found), name
