"""Every page, for everybody: screen readers, dark rooms, telephones; and no page moves under the reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from tests.console.browser import watched
from tests.console.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
SHIFT = """() => new Promise((done) => {
  let sum = 0;
  const add = (list) => { for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value; };
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})"""


def shown(browser: Any, scene: Scene, **options: Any) -> Iterator[tuple[str, Any]]:
    page = browser.new_page(base_url=scene.server.url, **options)
    trouble = watched(page, scene.server.url)
    for name, address in scene.pages().items():
        page.goto(f"/{address}")
        page.wait_for_load_state("networkidle")
        yield name, page
        assert [each for each in trouble if name != "not-found"] == [], name
        trouble.clear()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, scene: Scene, scheme: str) -> None:
    found = []
    for name, page in shown(browser, scene, color_scheme=scheme):
        page.evaluate(AXE)
        for each in page.evaluate("axe.run()")["violations"]:
            if each["impact"] in ("serious", "critical", "moderate"):
                found.append((name, each["id"], [node["target"] for node in each["nodes"]][:3]))
    assert found == []


def test_a_telephone_needs_no_scrolling_sideways(browser: Any, scene: Scene) -> None:
    wide = []
    for name, page in shown(browser, scene, viewport={"width": 390, "height": 844}):
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            wide.append(name)
    assert wide == []


BROKEN = """() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    if (node.parentElement.closest("code, textarea, select, .hidden, [translate=no], time")) continue;
    for (const word of node.data.matchAll(/\\p{L}{2,20}/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((each) => each.top)).size > 1) found.push(word[0]);
    }
  }
  return found;
}"""
"""Words of letters that stand on two lines, but for names and addresses, which may be as long as anybody likes."""


@pytest.mark.parametrize("locale", ["en-US", "pt-BR", "fr-FR"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_word_is_broken(browser: Any, scene: Scene, locale: str, width: int) -> None:
    pages = shown(browser, scene, locale=locale, viewport={"width": width, "height": 860})
    assert {name: words for name, page in pages if (words := set(page.evaluate(BROKEN)))} == {}


def test_nothing_moves_while_a_page_loads(browser: Any, scene: Scene) -> None:
    moved = []
    for name, page in shown(browser, scene, viewport={"width": 1280, "height": 860}):
        if (shift := page.evaluate(SHIFT)) > 0.1:  # "good" of Core Web Vitals
            moved.append((name, round(shift, 3)))
    assert moved == []


def test_an_operation_with_a_hundred_errors_fits_on_a_telephone(browser: Any, scene: Scene) -> None:
    for number in range(120):
        scene.gantry.put("incoming", f"bad/{'a long folder name ' * 3}/{number}.txt", b"no image\n")
    name = scene.gantry.import_("gs://incoming/bad/**", store=scene.store)["name"]
    page = browser.new_page(base_url=scene.server.url, viewport={"width": 390, "height": 844})
    page.goto(f"/console/{name}")
    page.get_by_text("Show 75 more").wait_for()
    assert page.evaluate("document.documentElement.scrollHeight") < 6000
    page.close()


MOST_TABS = 4
FOCUSED = """() => {
  const here = document.activeElement;
  const isAction = (each) => each.matches(".primary, .destroy, [data-expected]");
  return [here, ...(here.labels || [])].some(isAction) || !!here.closest("#action");
}"""
"""A button that deletes takes no focus before its word is typed: there the field is what one looks for.
Of a field for files the label looks like a button."""


def test_a_few_presses_lead_to_the_action_of_each_page(browser: Any, scene: Scene) -> None:
    """By the links that skip what stands around it: the last of them leads to the action of a form."""
    far = []
    for name, page in shown(browser, scene, viewport={"width": 1280, "height": 860}):
        if not page.locator("main .primary:visible, main .destroy:visible").count():
            continue
        if page.evaluate("document.activeElement === document.body"):  # else a field is where one begins
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip", name
        page.locator(".skip").last.focus()
        page.keyboard.press("Enter")
        for _ in range(MOST_TABS):
            page.keyboard.press("Tab")
            if page.evaluate(FOCUSED):
                break
        else:
            far.append(name)
    assert far == []


def test_the_action_of_a_form_stays_in_sight_on_a_telephone(browser: Any, scene: Scene) -> None:
    page = browser.new_page(base_url=scene.server.url, viewport={"width": 390, "height": 844})
    for name in ("export", "import", "dataset-create"):
        page.goto(f"/{scene.pages()[name]}")
        box = page.locator("#action").bounding_box()
        assert box is not None and box["y"] + box["height"] <= 844, name
    page.close()


@pytest.mark.parametrize("name", ["store-access", "store-buckets", "audit", "disk", "settings"])
def test_a_page_works_without_javascript(browser: Any, scene: Scene, name: str) -> None:
    context = browser.new_context(base_url=scene.server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/{scene.pages()[name]}")
    assert page.get_by_role("heading", level=1).is_visible()
    if name == "store-access":
        page.get_by_label("Address or name").fill("new@example.org")
        page.get_by_label("look at studies and images, export instances roles").check()
        page.get_by_role("button", name="Show what changes").click()
        assert page.get_by_text("new@example.org will be able to:").is_visible()
        page.get_by_role("button", name="Give access").click()
        page.get_by_role("status").filter(has_text="has the role").wait_for()
        assert page.get_by_text("new@example.org").first.is_visible()
    if name == "store-buckets":
        page.get_by_role("button", name="Check all").click()
        for _ in range(100):
            if not page.get_by_role("link", name="Refresh").count():
                break
            page.get_by_role("link", name="Refresh").click()
        assert page.locator(".status.ok").count() >= 4
    if name == "audit":
        page.get_by_label("Outcome").select_option("failed")
        page.get_by_role("button", name="Filter").click()
        assert page.locator("tbody .status").count() == page.locator("tbody .status.partial").count() > 0
    context.close()
