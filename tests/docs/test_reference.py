"""What the reference pages list is what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from gantry.client.arguments import parser
from gantry.server import _PAGES
from gantry.settings.loading import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "gantry"


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


def _quoted(text: str) -> list[str]:
    return re.findall(r"`([^`\s]+)`", text)


def test_every_module_in_the_table_of_the_architecture_exists() -> None:
    """A name is relative to the directory of its row, or to the package."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = [
        line.split("|")[1:-1] for line in page.split("## How an import runs")[0].splitlines() if line.startswith("| ")
    ]
    checked = 0
    for _, where, what in rows[1:]:
        places = [PACKAGE / name for name in _quoted(where) if name.endswith("/")] + [PACKAGE]
        for name in (each for each in _quoted(where + what) if re.fullmatch(r"[\w/]+(?:\.py|/)", each)):
            assert any((place / name).exists() for place in places), name
            checked += 1
    assert checked > 100


def test_every_path_and_name_in_the_text_of_the_architecture_exists() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## How an import runs")[1]
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    words = set(re.findall(r"\w+", source))
    paths = [name for name in _quoted(page) if re.fullmatch(r"[\w/]+(?:\.py|/)", name)]
    names = [name for name in _quoted(page) if re.fullmatch(r"[\w.]+", name) and not name.endswith(".py")]
    assert [name for name in paths if not (PACKAGE / name).exists() and not (ROOT / name).exists()] == []
    assert [name for name in names if name.rpartition(".")[2] not in words] == []
    assert len(paths) > 20 and len(names) > 15
