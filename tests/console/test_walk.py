"""Whole jobs in a browser, step by step as the how-to pages tell them, and what may go wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import watched
from tests.console.scene import HEART, STUDIES, Scene, file, uids
from tests.dicomweb.instances import instance
from tests.support.server import counts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def page(browser: Any, scene: Scene, request: pytest.FixtureRequest) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1280, "height": 860}, base_url=scene.server.url)
    trouble = watched(made, scene.server.url)
    yield made
    made.close()
    # A browser complains of every answer that is an error, also where the page shows it.
    allowed = getattr(request.node.get_closest_marker("allows"), "args", ("none",))
    assert [each for each in trouble if not any(part in each for part in allowed)] == []


def actions(page: Any, store: str, choice: str) -> None:
    """In the list of data stores, choose from the Actions list of one."""
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=store, exact=True))
    row.get_by_label(f"Actions for {store}").click()
    row.get_by_role("link", name=choice, exact=True).click()


def to_data_stores(page: Any, dataset: str = "hospital") -> None:
    page.goto("/")
    page.get_by_role("heading", name="Datasets").wait_for()
    page.get_by_role("link", name=dataset, exact=True).click()


def followed(page: Any) -> str:
    """Track the operation as the pages say: its own page, then the Operations tab; the id."""
    page.get_by_role("heading", name="Long-running operation status").locator(".status.ok").wait_for(timeout=60_000)
    identity = page.url.rpartition("/")[2]
    overview = page.locator("dd", has_text=identity)
    assert overview.locator(".status.ok").inner_text().strip() == "OK"
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Operations").click()
    row = page.get_by_role("row").filter(has_text=identity)
    row.locator(".status.ok").wait_for()
    assert page.get_by_role("columnheader", name="LRO status").is_visible()
    return identity


def test_importing_as_the_how_to_tells(page: Any, scene: Scene) -> None:
    scene.server.create_store("hospital", "imported")
    to_data_stores(page)
    actions(page, "imported", "Import")
    page.get_by_role("heading", name="Import to DICOM store").wait_for()
    page.get_by_label("Project").select_option("p")
    page.locator("#bucket").select_option("incoming")
    page.get_by_role("link", name="2024/").wait_for()
    page.get_by_text("Advanced options").click()
    page.get_by_label("Modify Cloud Storage path").check()
    assert page.locator("#uri").input_value() == "gs://incoming/**"
    page.locator("#uri").fill("gs://incoming/2024/study-?/**.dcm")
    page.get_by_text("must stand at the end").wait_for()
    page.locator("#uri").fill("gs://incoming/2024/study-1/*.dcm")
    page.get_by_text("4 objects match").wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    identity = followed(page)
    operation = scene.server.operation(f"{scene.dataset}/operations/{identity}")
    assert counts(operation) == (4, 0)


def test_importing_a_folder_by_clicking(page: Any, scene: Scene) -> None:
    scene.server.create_store("hospital", "clicked")
    page.goto(f"/console/{scene.dataset}/dicomStores/clicked/import")
    page.locator("#bucket").select_option("incoming")
    page.get_by_role("link", name="2024/").click()
    page.get_by_role("link", name="study-2/").click()
    page.get_by_text("gs://incoming/2024/study-2/**").wait_for()
    page.get_by_text("4 objects match").wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    followed(page)


def test_exporting_as_the_how_to_tells(page: Any, scene: Scene) -> None:
    to_data_stores(page)
    actions(page, "radiology", "Export")
    page.get_by_role("heading", name="Export DICOM store").wait_for()
    page.get_by_label("Google Cloud Storage bucket").check()
    page.get_by_label("Project").select_option("p")
    page.get_by_label("Location").select_option("exports")
    page.get_by_label("Folder").fill("jpeg")
    page.get_by_label("File type").select_option(label="Image (.jpg)")
    syntaxes = page.locator("#syntax option:not([hidden])").all_inner_texts()
    assert len(syntaxes) == 2 and "JPEG baseline" in syntaxes[1]
    page.get_by_label("Transfer syntax").select_option("1.2.840.10008.1.2.4.50")
    page.get_by_role("button", name="Export", exact=True).click()
    followed(page)
    keys = [key for key in scene.gantry.objects("exports") if key.startswith("jpeg/")]
    assert len(keys) >= 4 * len(STUDIES) and all(key.endswith(".jpg") for key in keys)


def test_exporting_studies_that_were_picked(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.store}/studies")
    page.get_by_label("Patient name").fill("*o*")
    page.get_by_role("button", name="Search").click()
    page.get_by_label("Pick the study of Okafor, Chidi").check()
    page.get_by_label("Pick the study of Moreau, Camille").check()
    page.get_by_role("button", name="Export picked studies").click()
    assert page.get_by_label("Chosen studies").is_checked()
    assert page.get_by_label("Study Instance UIDs").input_value().split() == [uids(3)[0], uids(2)[0]]
    page.get_by_label("Location").select_option("exports")
    page.get_by_label("Folder").fill("picked")
    page.get_by_role("button", name="Export", exact=True).click()
    followed(page)
    keys = {key.split("/")[1] for key in scene.gantry.objects("exports") if key.startswith("picked/")}
    assert {key for key in keys if not key.startswith("filter-")} == {uids(2)[0], uids(3)[0]}


def test_errors_are_found_and_mended(page: Any, scene: Scene) -> None:
    """Actions → View details; search, reason, what to do, download."""
    page.goto(f"/console/{scene.dataset}/operations")
    row = page.get_by_role("row").filter(has_text=scene.failed.rpartition("/")[2])
    assert "Finished with errors" in row.inner_text()
    row.get_by_text("Actions").click()
    row.get_by_role("link", name="View details").click()
    errors = page.locator("#errors")
    errors.get_by_text("cover.pdf").wait_for()
    assert errors.locator("tbody tr").count() == 2
    errors.get_by_label("Search objects, messages and reasons").fill("README")
    errors.locator("tbody tr").nth(1).wait_for(state="detached")
    assert "readme.txt" in errors.locator("tbody").inner_text()
    errors.get_by_label("Search objects, messages and reasons").fill("")
    errors.get_by_text("cover.pdf").wait_for()
    page.get_by_role("link", name="Not a DICOM file").click()
    errors.get_by_role("link", name="Not a DICOM file").wait_for()
    with page.expect_download() as loaded:
        errors.get_by_role("link", name="Download all as CSV").click()
    assert "cover.pdf" in Path(loaded.value.path()).read_text()
    page.get_by_role("button", name="Import all failed again (2)").click()
    page.locator(".status.failed, .status.partial").first.wait_for(timeout=60_000)
    assert "2" in page.locator("dl.tiles .bad").inner_text()


def test_watching_and_cancelling(page: Any, scene: Scene) -> None:
    bucket = scene.server.buckets / "many"
    bucket.mkdir()
    for number in range(4000):
        (bucket / f"{number}.dcm").write_bytes(
            instance((f"1.3.{number % 9}", f"1.3.{number % 9}.1", f"1.3.1.{number}"))
        )
    page.goto(f"/console/{scene.store}/import?uri=gs%3A%2F%2Fmany%2F**")
    page.get_by_text("4,000 objects match").wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("button", name="Cancel operation").click()
    page.locator(".status.cancelled, .status.ok").first.wait_for(timeout=60_000)
    identity = page.url.rpartition("/")[2]
    operation = scene.server.wait(f"{scene.dataset}/operations/{identity}")
    success, failure = counts(operation)
    assert failure == 0 and (operation["error"]["code"] == 1 if "error" in operation else success == 4000)
    assert f"{success:,}" in page.locator("dl.tiles").inner_text()


def test_progress_is_shown_without_reload(page: Any, scene: Scene) -> None:
    scene.server.create_store("hospital", "watched")
    page.goto(f"/console/{scene.dataset}/dicomStores/watched/import?uri=gs%3A%2F%2Fmany%2F**")
    page.get_by_role("button", name="Import", exact=True).click()
    page.evaluate("window.mark = 1")
    page.locator(".status.ok").first.wait_for(timeout=120_000)
    assert page.evaluate("window.mark") == 1
    assert "4,000" in page.locator("dl.tiles").inner_text()


def test_making_and_deleting_with_the_name_typed(page: Any, scene: Scene) -> None:
    page.goto("/console/")
    page.get_by_role("link", name="Create dataset").click()
    page.get_by_label("Name").fill("trial")
    page.get_by_label("Project").fill("p")
    page.get_by_label("Time zone").select_option("Europe/Zurich")
    page.get_by_role("button", name="Create").click()
    page.get_by_text("No data store yet").wait_for()
    page.get_by_role("link", name="Create data store").first.click()
    page.get_by_label("Name").fill("mri")
    page.get_by_role("button", name="Create").click()
    page.get_by_text("Nothing stored yet").wait_for()
    page.get_by_role("link", name="Delete this store").click()
    button = page.get_by_role("button", name="Delete DICOM store")
    assert button.is_disabled()
    page.get_by_label("Type delete to confirm").fill("mr")
    assert button.is_disabled()
    page.get_by_label("Type delete to confirm").fill("Delete")
    button.click()
    page.get_by_text("No data store yet").wait_for()


def test_by_keyboard_alone(page: Any, scene: Scene) -> None:
    page.goto(f"/console/{scene.dataset}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    summary = page.get_by_label("Actions for radiology")
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Import"
    page.keyboard.press("Escape")
    assert not page.get_by_role("link", name="Import", exact=True).first.is_visible()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def shows(page: Any, part: str, there: bool = True) -> None:
    """Wait for a picture whose address has a part, or has it no more."""
    picture = page.locator(f"#picture[src*='{part}']" if there else f"#picture:not([src*='{part}'])")
    picture.wait_for(timeout=30_000)


def drawn(page: Any) -> None:
    page.wait_for_load_state("networkidle")
    assert page.locator("#picture").evaluate("(image) => image.naturalWidth") > 100


def test_a_picture_its_window_and_its_frames(page: Any, scene: Scene) -> None:
    study, series, sop = uids(HEART)
    page.goto(f"/console/{scene.store}/studies")
    page.get_by_role("link", name="Okafor, Chidi").click()
    page.get_by_role("link", name="Echocardiography series").click()
    page.locator(f"a[href$='/instances/{sop}']").click()
    image = page.locator("#picture")
    drawn(page)
    page.locator("#frame").fill("7")
    shows(page, "/frames/7/", True)
    page.get_by_role("button", name="Play").click()
    shows(page, "/frames/7/", False)
    page.get_by_role("button", name="Pause").click()
    assert image.get_attribute("alt").startswith("Frame ")
    page.get_by_label("Search tags").fill("PatientName")
    page.locator("#tags tbody tr").nth(1).wait_for(state="detached")
    assert "Okafor^Chidi" in page.locator("#tags").inner_text()
    with page.expect_download() as loaded:
        page.get_by_role("link", name="Download").click()
    assert Path(loaded.value.path()).read_bytes() == file(HEART, 1)
    assert series in page.url and study in page.url


@pytest.mark.parametrize("number", [0, 1])
def test_window_and_level(page: Any, scene: Scene, number: int) -> None:
    """Of a CT that asks for one, and an MR that does not."""
    study, series, sop = uids(number)
    page.goto(f"/console/{scene.store}/studies/{study}/series/{series}/instances/{sop}")
    drawn(page)
    page.locator("#width").evaluate("(input) => { input.value = 50; input.dispatchEvent(new Event('input')); }")
    shows(page, "window=", True)
    page.get_by_role("button", name="Reset window").click()
    shows(page, "window=", False)


@pytest.mark.allows("409")
def test_uploading_a_folder(page: Any, scene: Scene, tmp_path: Path) -> None:
    scene.server.create_store("hospital", "uploaded")
    folder = tmp_path / "films"
    (folder / "deeper").mkdir(parents=True)
    for number in range(70):
        target = folder / ("deeper" if number % 2 else "") / f"{number}.dcm"
        target.write_bytes(instance(("1.4.1", "1.4.1.1", f"1.4.1.1.{number}")))
    (folder / "notes <b>.txt").write_text("no image")
    page.goto(f"/console/{scene.dataset}/dicomStores/uploaded/upload")
    page.locator("#folder").set_input_files(str(folder))
    page.get_by_role("heading", name="Finished with errors").wait_for(timeout=60_000)
    assert page.locator("#stored").inner_text() == "70" and page.locator("#failed").inner_text() == "1"
    assert "notes <b>.txt" in page.locator("#upload-errors").inner_text()
    assert "part 1" not in page.locator("#upload-errors").inner_text()
    page.locator("#folder").set_input_files(str(folder))
    page.locator("#there", has_text="70").wait_for()
    assert page.locator("#stored").inner_text() == "70"
    metrics = scene.gantry.call("GET", f"v1/{scene.dataset}/dicomStores/uploaded:getDICOMStoreMetrics")
    assert metrics["instanceCount"] == "70"


def test_stopping_an_upload_sends_no_more(page: Any, scene: Scene, tmp_path: Path) -> None:
    """The piece under way is broken off, none of its files is sent again by itself, and nothing is left."""
    scene.server.create_store("hospital", "stopped")
    for number in range(130):
        (tmp_path / f"{number}.dcm").write_bytes(instance(("1.6.1", "1.6.1.1", f"1.6.1.1.{number}")))
    asked: list[str] = []
    page.route("**/dicomWeb/studies", lambda route: asked.append(route.request.url))  # never answered
    page.goto(f"/console/{scene.dataset}/dicomStores/stopped/upload")
    page.locator("#files").set_input_files([str(tmp_path / f"{number}.dcm") for number in range(130)])
    page.get_by_role("heading", name="Uploading").wait_for()
    page.wait_for_function("document.getElementById('left').textContent === '130'")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("heading", name="Stopped").wait_for()
    numbers = [page.locator(f"#{name}").inner_text() for name in ("stored", "failed", "left")]
    assert (numbers, len(asked)) == (["0", "0", "0"], 1)
    page.unroute("**/dicomWeb/studies")
    page.locator("#files").set_input_files([str(tmp_path / "1.dcm")])
    page.get_by_role("heading", name="Finished").wait_for()
    assert [page.locator(f"#{name}").inner_text() for name in ("stored", "left")] == ["1", "0"]


def test_a_study_is_deleted(page: Any, scene: Scene) -> None:
    scene.server.create_store("hospital", "short")
    scene.gantry.import_("gs://incoming/2024/study-8/*", store=f"{scene.dataset}/dicomStores/short")
    study = uids(7)[0]
    page.goto(f"/console/{scene.dataset}/dicomStores/short/studies/{study}")
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type delete to confirm").fill("schmidt, jonas")
    page.get_by_role("button", name="Delete study").click()
    page.get_by_text("No studies yet").wait_for()
    assert "Deleted: study Schmidt, Jonas (4 instances" in page.get_by_role("status").inner_text()
    page.reload()
    page.get_by_text("No studies yet").wait_for()
    assert page.get_by_role("status").count() == 0


def test_times_are_those_of_the_reader(browser: Any, scene: Scene) -> None:
    page = browser.new_page(locale="de-DE", timezone_id="Asia/Tokyo", base_url=scene.server.url)
    page.goto(f"/console/{scene.failed}")
    shown = page.locator("time").first
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4}, \d\d:\d\d:\d\d GMT\+9", shown.inner_text())
    page.close()
