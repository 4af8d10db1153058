"""``./run screenshots [DIRECTORY]``: every page of the console, in light, in dark, and as wide as a telephone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.console.browser import chromium
from tests.console.scene import Scene

LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


def main(directory: str = "screenshots") -> None:
    out = Path(directory)
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        scene = Scene(Path(home))
        for look, options in LOOKS.items():
            (out / look).mkdir(parents=True, exist_ok=True)
            page = browser.new_page(**options)
            for name, address in scene.pages().items():
                page.goto(f"{scene.server.url}/{address}")
                page.wait_for_load_state("networkidle")
                page.screenshot(path=out / look / f"{name}.png", full_page=name not in ("studies",))
                print(out / look / f"{name}.png")
            page.close()
        scene.server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
