"""The console of a server whose stored instances lie in a bucket that hangs or is away: every page is there, and says
what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.buckets.blob_home import BlobHome
from tests.console.scene import HEART, Scene, uids
from tests.support.providers import Served, serve_provider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
AWAY = "403 InvalidAccessKeyId"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_provider("s3") as found:
        yield found


@pytest.fixture(scope="module")
def scene(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("scene")
    made = Scene(home, BlobHome(home, served.buckets).config)
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


@pytest.fixture
def page(browser: Any, scene: Scene) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1280, "height": 860}, base_url=scene.server.url)
    yield made
    made.close()


def test_no_page_waits_for_a_bucket_that_hangs(scene: Scene, served: Served) -> None:
    """A request to it would take an hour."""
    with served.server.fail("stall", seconds=3600):
        for name, address in scene.pages().items():
            found = httpx.get(f"{scene.server.url}/{address}", follow_redirects=True, timeout=60)
            assert found.status_code == (404 if name == "not-found" else 200), name


def test_an_instance_says_why_it_has_no_picture_and_shows_it_again(page: Any, scene: Scene, served: Served) -> None:
    with served.server.fail(AWAY):
        page.goto(f"/{scene.pages()['instance']}")
        said = page.get_by_role("status").filter(has_text="This frame cannot be shown: ")
        said.wait_for()
        assert "bucket" in said.inner_text()
        assert not page.locator("#picture").is_visible()
        page.locator("#frame").fill("3")
        page.locator("#frame-number").filter(has_text="3").wait_for()
        assert said.is_visible()
        assert page.get_by_role("heading", name="Tags").is_visible()
    page.locator("#frame").fill("4")
    page.locator("#picture").wait_for()
    assert not said.is_visible()


@pytest.mark.parametrize("name", ["study", "series"])
def test_the_modality_stands_in_the_place_of_a_thumbnail(page: Any, scene: Scene, served: Served, name: str) -> None:
    with served.server.fail(AWAY):
        page.goto(f"/{scene.pages()[name]}")
        page.wait_for_load_state("networkidle")
        assert page.locator(".thumb img").count() == page.locator(".thumb img[hidden]").count() > 0
        assert page.locator(".thumb span").first.inner_text() == "US"
    page.reload()
    page.locator(".thumb img").first.wait_for()


def test_what_is_downloaded_or_exported_says_so(scene: Scene, served: Served) -> None:
    study, series, instance = uids(HEART)
    path = f"studies/{study}/series/{series}/instances/{instance}"
    with served.server.fail(AWAY):
        found = scene.gantry.request("GET", f"v1/{scene.store}/dicomWeb/{path}", headers={"Accept": "*/*"})
        assert found.status_code == 503 and "bucket" in found.text
