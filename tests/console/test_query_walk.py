"""The tab *Query* in a browser, as the how-to page tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import watched
from tests.console.scene import TABLE, Scene
from tests.console.test_walk import followed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def page(browser: Any, scene: Scene) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1280, "height": 860}, base_url=scene.server.url)
    made.set_default_timeout(60_000)
    trouble = watched(made, scene.server.url)
    yield made
    made.close()
    assert trouble == []


def to_query(page: Any) -> Any:
    """The editor, from the page of the store."""
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Query", exact=True).click()
    return page.get_by_label("Query", exact=True)


def result(page: Any, words: str) -> Any:
    page.locator("#result h2", has_text=words).wait_for()
    return page.locator("#result")


def test_from_a_question_to_an_export(page: Any, scene: Scene, tmp_path: Path) -> None:
    page.goto(f"/console/{scene.store}")
    editor = to_query(page)
    page.get_by_role("link", name="Instances by modality").click()
    assert "GROUP BY Modality" in editor.input_value()
    editor.press("Control+Enter")
    assert result(page, "3 rows").locator("tbody tr").count() == 3
    assert page.locator("#chart rect").count() == 3, "a text and a number are a chart at once"
    with page.expect_download() as download:
        page.get_by_role("link", name="Parquet").click()
    download.value.save_as(tmp_path / "rows.parquet")
    assert (tmp_path / "rows.parquet").read_bytes()[:4] == b"PAR1"

    page.get_by_role("link", name="Paths for a filter file").click()
    page.get_by_role("button", name="Run").click()
    result(page, "8 rows")
    assert "a filter file of 8 lines" in page.locator("#use").inner_text()
    page.locator("#use").get_by_label("Location").select_option("exports")
    page.get_by_label("Folder, optional").fill("asked/")
    page.get_by_role("button", name="Export these instances").click()
    page.get_by_role("heading", name="Export DICOM store").wait_for()
    assert page.get_by_label("A filter file in a bucket").is_checked()
    assert page.locator("#filter_uri").input_value().startswith("gs://exports/asked/filter-")
    page.get_by_label("Location").select_option("exports")
    page.get_by_label("Folder").fill("asked/files")
    page.get_by_role("button", name="Export", exact=True).click()
    followed(page)
    keys = [key for key in scene.gantry.objects("exports") if key.startswith("asked/files/")]
    assert len(keys) == 8


def test_changing_the_storage_class(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/query/{scene.queried}")
    page.locator("#use").get_by_label("Location").select_option("exports")
    page.get_by_role("button", name="Change the storage class of these").click()
    page.get_by_role("heading", name="Change storage class").wait_for()
    page.get_by_label("New storage class").select_option("NEARLINE")
    page.get_by_role("button", name="Change storage class").click()
    followed(page)


def test_names_are_inserted_and_columns_found(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/query")
    editor = page.get_by_label("Query", exact=True)
    editor.fill("SELECT  FROM ")
    page.get_by_role("button", name="Insert the table's name").click()
    assert editor.input_value() == f"SELECT  FROM `{TABLE}`"
    editor.evaluate("(area) => area.setSelectionRange(7, 7)")
    page.get_by_placeholder("Find a column").fill("patientn")
    assert page.locator(".names li:visible").count() == 1
    page.get_by_role("button", name="PatientName", exact=True).click()
    assert editor.input_value() == f"SELECT PatientName FROM `{TABLE}`"
    editor.press("Control+z")
    assert editor.input_value() == f"SELECT  FROM `{TABLE}`", "what was inserted can be undone"


def test_the_cursor_goes_to_the_error(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/query")
    editor = page.get_by_label("Query", exact=True)
    editor.fill(f"SELECT '😀',\n  Modalty FROM {TABLE}")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("Line 2, column 3").wait_for()
    start = editor.evaluate("(area) => [area.selectionStart, document.activeElement === area]")
    assert start == ["SELECT '😀',\n  ".__len__() + 1, True], "JavaScript counts the picture as two"


def test_queries_are_saved_in_the_browser(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/query")
    editor = page.get_by_label("Query", exact=True)
    editor.fill("SELECT 1 AS one")
    page.get_by_placeholder("Name of this query").fill("<b>One</b>")
    page.get_by_role("button", name="Save", exact=True).click()
    page.reload()
    page.get_by_role("button", name="<b>One</b>", exact=True).click()
    assert editor.input_value() == "SELECT 1 AS one"
    page.get_by_role("button", name="Forget the query <b>One</b>").click()
    page.reload()
    page.get_by_role("heading", name="Saved queries").wait_for()
    assert page.get_by_role("button", name="<b>One</b>", exact=True).count() == 0


def test_cancelling_a_long_query(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/query")
    many = "UNNEST(GENERATE_ARRAY(1, 100000))"
    page.get_by_label("Query", exact=True).fill(f"SELECT COUNT(*) FROM {many} a, {many} b WHERE MOD(a * b, 7) = 3")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Job execution was cancelled").wait_for()


def test_without_javascript(browser: Any, scene: Scene) -> None:
    made = browser.new_page(java_script_enabled=False, base_url=scene.server.url)
    made.goto(f"/console/{scene.store}/query")
    made.get_by_role("link", name="Bytes by storage class").click()
    made.get_by_role("button", name="Run").click()
    made.locator("#result h2", has_text="1 row").wait_for(timeout=60_000)
    made.close()
