"""The pictures of README and ``docs/`` are there, are shown, and show the pages as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.console.pictures import IMAGES, LIGHT, MADE, PICTURES, files, find_old, take
from tests.console.scene import Scene
from tests.console.steady import SteadyNames

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def test_every_picture_is_there_and_is_shown() -> None:
    """A dark twin is shown by the site in the place of the light one (``docs/site/pictures.py``)."""
    shown = set()
    for page in PAGES:
        for target in re.findall(r"!\[[^\]]{10,}\]\(([^)]+\.png)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).resolve().is_file(), f"{page.name} shows {target}: ./run screenshots"
            shown.add(Path(target).name)
    assert sorted(shown) == sorted(name for name in files() if not name.endswith("-dark.png"))
    assert sorted(each.name for each in IMAGES.glob("*.png")) == sorted(files())
    assert json.loads(MADE.read_text()).keys() == PICTURES.keys()


def test_no_picture_is_large() -> None:
    assert [each.name for each in IMAGES.glob("*.png") if each.stat().st_size > 150_000] == []


@pytest.mark.slow
def test_no_picture_is_older_than_its_page(scene: Scene) -> None:
    old = find_old(scene)
    assert old == [], f"older than the page that they show: {', '.join(old)}; take them again with ./run screenshots"


@pytest.mark.slow
def test_a_picture_is_the_same_each_time(browser: Any, scene: Scene, tmp_path: Path) -> None:
    again = Scene(tmp_path)
    for page in ("operation-errors", "query-result"):
        first, second = (take(browser, each, SteadyNames(each), page, LIGHT) for each in (scene, again))
        assert first == second, page
    again.server.stop()
