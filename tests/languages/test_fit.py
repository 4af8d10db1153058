"""Every page in every language: for screen readers, on telephones, and with the longest texts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.console.scene import Scene
from tests.console.test_fit import AXE, shown
from tests.languages.words import ALL, Words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
languages = pytest.mark.parametrize("words", ALL, ids=lambda words: words.tag)
_OVERFLOWING = """() => {
  const each = "button, .button, th, dt, .status, .tabs a, summary, label, h1, h2";
  const isCut = (found) => found.clientWidth > 0 && found.scrollWidth > found.clientWidth + 1;
  const isShown = (found) => getComputedStyle(found).display !== "inline" && !found.closest(".hidden");
  return [...document.querySelectorAll(each)].filter((found) => isCut(found) && isShown(found))
    .map((found) => found.textContent.trim().slice(0, 60));
}"""


def options(words: Words, **more: Any) -> dict[str, Any]:
    return {"locale": words.header.partition(",")[0], "extra_http_headers": {"accept-language": words.header}} | more


@languages
def test_axe_finds_nothing_from_moderate_up(browser: Any, scene: Scene, words: Words) -> None:
    found = []
    for name, page in shown(browser, scene, **options(words)):
        assert page.locator("html").get_attribute("lang") == words.tag
        page.evaluate(AXE)
        for each in page.evaluate("axe.run()")["violations"]:
            if each["impact"] in ("serious", "critical", "moderate"):
                found.append((name, each["id"], [node["target"] for node in each["nodes"]][:3]))
    assert found == []


@languages
@pytest.mark.parametrize("width", [390, 1280])
def test_no_text_is_wider_than_its_place(browser: Any, scene: Scene, words: Words, width: int) -> None:
    wide = []
    for name, page in shown(browser, scene, **options(words, viewport={"width": width, "height": 844})):
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append((name, "page"))
        wide += [(name, text) for text in page.evaluate(_OVERFLOWING)]
    assert wide == []


@languages
def test_an_operation_with_a_hundred_errors_fits_on_a_telephone(browser: Any, scene: Scene, words: Words) -> None:
    for number in range(120):
        scene.gantry.put("incoming", f"bad-{words.tag}/{'a long folder name ' * 3}/{number}.txt", b"no image\n")
    name = scene.gantry.import_(f"gs://incoming/bad-{words.tag}/**", store=scene.store)["name"]
    page = browser.new_page(**options(words, base_url=scene.server.url, viewport={"width": 390, "height": 844}))
    page.goto(f"/console/{name}")
    page.locator("details.more summary", has_text="75").wait_for()
    assert page.evaluate("document.documentElement.scrollHeight") < 6000
    page.close()
