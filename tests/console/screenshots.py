"""``./run screenshots``: the pictures of README and ``docs/``.

``./run screenshots DIRECTORY``: every page of the console, in light, in dark, and as wide as a telephone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.console.browser import chromium
from tests.console.pictures import DARK, LIGHT, NARROW, take_all
from tests.console.scene import Scene

LOOKS = {"light": LIGHT, "dark": DARK, "narrow": NARROW}


def main(directory: str = "") -> None:
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        scene = Scene(Path(home))
        if directory:
            take_every_page(browser, scene, Path(directory))
        else:
            take_all(browser, scene)
        scene.server.stop()


def take_every_page(browser: Any, scene: Scene, out: Path) -> None:
    for look, options in LOOKS.items():
        (out / look).mkdir(parents=True, exist_ok=True)
        page = browser.new_page(**options)
        for name, address in scene.pages().items():
            page.goto(f"{scene.server.url}/{address}")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=out / look / f"{name}.png", full_page=name not in ("studies",))
            print(out / look / f"{name}.png")
        page.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
