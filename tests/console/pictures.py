"""The pictures of the console in README and ``docs/``: which page each shows, and how it is taken.

To add one: a row in ``PICTURES``, ``./run screenshots``, and ``![what it shows](…/images/NAME.png)`` in a page.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.console.scene import Scene
from tests.console.steady import SteadyNames, fingerprint

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MADE = IMAGES / "made.json"
"""Of each picture the fingerprint of its page, as it was when the picture was taken."""

DESKTOP, TELEPHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
LIGHT, DARK = {"viewport": DESKTOP, "color_scheme": "light"}, {"viewport": DESKTOP, "color_scheme": "dark"}
NARROW = {"viewport": TELEPHONE, "color_scheme": "light"}
TALLEST = 1720
"""Pixels. What lies below, such as all the tags of an instance, tells a reader nothing more."""

PLAIN = {"": LIGHT, "-dark": DARK}
ALL = PLAIN | {"-390": NARROW}
PICTURES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "console-operation-errors": ("operation-errors", ALL),
    "console-instance": ("instance", PLAIN),
    "console-import": ("import", PLAIN),
    "console-export": ("export", PLAIN),
    "console-store": ("store", PLAIN),
    "console-studies": ("studies", ALL),
    "console-query": ("query-result", PLAIN),
    "console-access": ("store-access", PLAIN),
    "console-audit": ("audit", PLAIN),
    "console-buckets": ("buckets", PLAIN),
    "console-settings": ("settings", PLAIN),
}
"""Name of the picture → the page in ``Scene.pages`` that it shows, and its looks: what follows the name of the file.

The page of disks is not among them: its sizes are those of the machine."""


def files() -> list[str]:
    return [f"{name}{look}.png" for name, (_, looks) in PICTURES.items() for look in looks]


def take(browser: Any, scene: Scene, names: SteadyNames, page: str, look: dict[str, Any]) -> bytes:
    """A picture of a page as PNG of at most 256 colours, the same in every run."""
    view = browser.new_page(**look, timezone_id="UTC", locale="en-US", reduced_motion="reduce")
    view.route("**/*", lambda route: _answer_steadily(route, names))
    view.goto(f"{scene.server.url}/{scene.pages()[page]}")
    view.wait_for_load_state("networkidle")
    taken = view.screenshot(full_page=True, animations="disabled", caret="hide")
    view.close()
    return _shrink(taken)


def take_all(browser: Any, scene: Scene) -> None:
    """Every picture of README and ``docs/``, and what it shows."""
    names, made = SteadyNames(scene), {}
    for name, (page, looks) in PICTURES.items():
        for look, options in looks.items():
            (IMAGES / f"{name}{look}.png").write_bytes(take(browser, scene, names, page, options))
            print(f"docs/images/{name}{look}.png")
        made[name] = fingerprint(scene, names, page)
    MADE.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def find_old(scene: Scene) -> list[str]:
    """The pictures that are older than the page they show; but for the audit log, which counts how often a page was
    asked for while an operation ran."""
    names, made = SteadyNames(scene), json.loads(MADE.read_text(encoding="utf-8"))
    steady = {name: page for name, (page, _) in PICTURES.items() if page != "audit"}
    return [name for name, page in steady.items() if made.get(name) != fingerprint(scene, names, page)]


def _answer_steadily(route: Any, names: SteadyNames) -> None:
    answer = route.fetch(url=names.restore(route.request.url))
    if answer.headers.get("content-type", "").startswith("text/html"):
        route.fulfill(response=answer, body=names.hide(answer.text()))
    else:
        route.fulfill(response=answer)


def _shrink(png: bytes) -> bytes:
    out = BytesIO()
    picture = Image.open(BytesIO(png)).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, TALLEST)))
    picture.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
