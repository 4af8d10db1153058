"""The how-to pages' steps in a browser of each language, by the words of those pages alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.browser import watched
from tests.console.scene import STUDIES, Scene
from tests.languages.words import ALL, Words
from tests.support.server import counts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(params=ALL, ids=lambda words: words.tag)
def words(request: pytest.FixtureRequest) -> Words:
    found: Words = request.param
    return found


@pytest.fixture
def page(browser: Any, scene: Scene, words: Words, request: pytest.FixtureRequest) -> Iterator[Any]:
    made = browser.new_page(
        viewport={"width": 1280, "height": 860},
        base_url=scene.server.url,
        locale=words.header.partition(",")[0],
        extra_http_headers={"accept-language": words.header},
    )
    trouble = watched(made, scene.server.url)
    yield made
    made.close()
    # A browser complains of every answer that is an error, also where the page shows it.
    allowed = getattr(request.node.get_closest_marker("allows"), "args", ("none",))
    assert [each for each in trouble if not any(part in each for part in allowed)] == []


def choose(page: Any, words: Words, store: str, action: str) -> None:
    """Datasets → the dataset → the list of data stores → Actions of the DICOM store."""
    page.goto("/")
    page.get_by_role("heading", name=words.datasets).wait_for()
    assert page.locator("html").get_attribute("lang") == words.tag
    page.get_by_role("link", name="hospital", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=store, exact=True))
    row.locator("summary", has_text=words.actions).click()
    row.get_by_role("link", name=action, exact=True).click()


def followed(page: Any, words: Words) -> str:
    """The operation's page, then the tab of operations; the number of the operation."""
    page.get_by_role("heading", name=words.status).locator(".status.ok").wait_for(timeout=60_000)
    identity = page.url.rpartition("/")[2]
    overview = page.locator("section").filter(has=page.get_by_role("heading", name=words.overview))
    assert overview.locator("dt", has_text=words.operation_id).is_visible()
    assert overview.locator("dd", has_text=identity).locator(".status.ok").inner_text().strip() == "OK"
    page.locator("summary", has_text=words.actions).click()
    assert page.get_by_role("link", name=words.view_details).is_visible()
    page.get_by_role("link", name=words.operations).first.click()
    page.get_by_role("row").filter(has_text=identity).locator(".status.ok").wait_for()
    return identity


def test_importing(page: Any, scene: Scene, words: Words) -> None:
    store = f"imported-{words.tag.lower()}"
    scene.server.create_store("hospital", store)
    choose(page, words, store, words.importing)
    page.get_by_role("heading", name=words.import_page).wait_for()
    page.get_by_label(words.project).select_option("p")
    page.locator("select#bucket").select_option("incoming")
    assert page.locator("label[for=bucket]").inner_text() == words.location
    page.locator("summary", has_text=words.advanced).click()
    page.get_by_label(words.modify_path).check()
    path = page.locator("input#uri")
    assert page.locator("label[for=uri]").inner_text() == words.location
    path.fill("gs://incoming/2024/study-1/*.dcm")
    page.locator("#preview", has_text=re.compile(r"^\s*4\b")).wait_for()
    page.get_by_role("button", name=words.importing, exact=True).click()
    identity = followed(page, words)
    assert counts(scene.server.operation(f"{scene.dataset}/operations/{identity}")) == (4, 0)


def test_exporting(page: Any, scene: Scene, words: Words) -> None:
    choose(page, words, "radiology", words.exporting)
    page.get_by_role("heading", name=words.export_page).wait_for()
    page.get_by_label(words.to_bucket).check()
    page.get_by_label(words.project).select_option("p")
    page.get_by_label(words.location).select_option("exports")
    page.locator("#prefix").fill(words.tag)
    settings = page.get_by_role("group", name=words.export_settings)
    kinds = settings.locator("select").first.locator("option").all_inner_texts()
    assert kinds[:2] == [words.dicom_file, words.octets]
    assert [".jpg" in kinds[2], ".png" in kinds[3]] == [True, True]
    settings.get_by_label(words.syntax).select_option("1.2.840.10008.1.2.1")
    page.get_by_role("button", name=words.exporting, exact=True).click()
    followed(page, words)
    assert len([key for key in scene.gantry.objects("exports") if key.startswith(f"{words.tag}/")]) == 4 * len(STUDIES)


def test_times_are_in_the_reader_s_language_and_zone(browser: Any, scene: Scene, words: Words) -> None:
    options = {"locale": words.header.partition(",")[0], "timezone_id": "America/Sao_Paulo"}
    page = browser.new_page(base_url=scene.server.url, **options)
    page.goto(f"/console/{scene.failed}")
    shown = page.locator("time").first.inner_text()
    page.close()
    assert re.search(r"GMT[-−]3|UTC[-−]3|BRT", shown), "the zone is shown"
    assert re.search(
        {"en": r"\d\d:\d\d:\d\d", "pt-BR": r" de .* de 20\d\d", "fr": r"^\d+ \w+\.? 20\d\d"}[words.tag], shown
    )


@pytest.mark.allows("409")
def test_what_is_counted_in_the_browser_is_written_in_the_language(page: Any, scene: Scene, words: Words) -> None:
    page.goto(f"/console/{scene.store}/upload")
    page.locator("#files").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"no image" * 200_000})
    page.locator("#upload-errors tbody tr").wait_for()
    size = page.locator("#sent").inner_text()
    assert size.replace("\u00a0", " ") == {"en": "1.5 MiB", "pt-BR": "1,5 MiB", "fr": "1,5 Mio"}[words.tag]


def test_the_switch_keeps_the_language(page: Any, scene: Scene, words: Words) -> None:
    """Without a script it is a form; the browser's own language does not matter any more."""
    other = ALL[(ALL.index(words) + 1) % len(ALL)]
    page.goto(f"/console/{scene.store}/studies?PatientName=o")
    page.locator("details.language summary").click()
    page.locator(f"details.language button[lang={other.tag}]").click()
    page.locator(f"html[lang={other.tag}]").wait_for()
    assert page.url.endswith("/studies?PatientName=o")
    page.goto("/")
    page.get_by_role("heading", name=other.datasets).wait_for()
