"""In a browser: what is ticked is counted, buttons wait for a choice, and the page of an operation stays true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.browser import watched
from tests.console.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def page(browser: Any, scene: Scene) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1280, "height": 860}, base_url=scene.server.url)
    trouble = watched(made, scene.server.url)
    yield made
    made.close()
    assert trouble == []


def test_no_button_without_a_tick(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/studies")
    bar = page.get_by_role("group", name="Actions for ticked studies")
    buttons = bar.get_by_role("button")
    assert buttons.count() == 4 and all(buttons.nth(number).is_disabled() for number in range(4))
    page.get_by_label("Pick the study of Okafor, Chidi").check()
    page.get_by_label("Pick the study of Rossi, Giulia").check()
    assert "Ticked studies: 2 Instances: 8" in " ".join(bar.inner_text().split())
    page.get_by_label("Tick all studies of this page").check()
    assert "Ticked studies: 8" in bar.inner_text()
    page.get_by_label("Tick all studies of this page").uncheck()
    assert buttons.first.is_disabled()


def test_the_export_button_waits_for_a_choice(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/export")
    button = page.get_by_role("button", name="Export", exact=True)
    page.get_by_text("Chosen: 8 studies, 32 instances").wait_for()
    page.get_by_label("Studies that a search finds").check()
    page.get_by_text("the search has no condition").wait_for()
    assert button.is_disabled()
    page.get_by_label("Patient name").fill("moreau")
    page.get_by_text("Chosen: 1 study, 4 instances").wait_for()
    assert button.is_enabled()


def test_errors_appear_beside_their_count_while_an_import_runs(page: Any, scene: Scene) -> None:
    bucket = scene.server.buckets / "broken"
    bucket.mkdir()
    for number in range(3000):
        (bucket / f"{number:05}.txt").write_bytes(b"no image" * (number + 1))
    name = scene.server.import_(scene.store, "gs://broken/**")
    page.goto(f"/console/{name}")
    page.get_by_text("Show 75 more").wait_for(timeout=60_000)
    assert "No errors" not in page.locator("main").inner_text()
    page.get_by_label("Search objects, messages and reasons").fill("00042")
    page.locator(".status.failed").first.wait_for(timeout=60_000)
    page.locator("#errors tbody tr").nth(1).wait_for(state="detached")
    assert "00042.txt" in page.locator("#errors").inner_text() and page.locator("#errors tbody tr").count() == 1


def test_the_slash_leads_to_the_search(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}")
    page.keyboard.press("/")
    page.keyboard.type("moreau")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Moreau, Camille").click()
    page.get_by_role("heading", name="Moreau, Camille").wait_for()
