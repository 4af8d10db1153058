"""Every page, and what forms answer, in a language of marks: no word that people see is outside the catalogues."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from zoneinfo import available_timezones

import httpx
import pytest

from tests.console.scene import HEART, STUDIES, Scene, uids
from tests.languages import marked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.one_process("the process is started with a program of the test before it"),
]
_LOCATIONS = ("us", "eu")
DATA = (
    *(text for study in STUDIES for text in study),
    "hospital radiology team series Novak Petra incoming exports research readme txt cover pdf dcm central",
    *available_timezones(),
    *_LOCATIONS,
)
PARTS = ("errors", "progress", "folders", "preview", "selection", "columns")
UID, SERIES, SOP = uids(HEART)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("scene"))
    made.server.stop()
    folder = marked.write(tmp_path_factory.mktemp("marked"))
    made.server.env["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    made.server._popen = subprocess.Popen
    made.server.start()
    yield made
    made.server.stop()


def unmarked(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-language"] == "fr"
    return marked.find_unmarked(answer.text, DATA)


def get(scene: Scene, address: str, **headers: str) -> httpx.Response:
    return scene.server.client.get(f"/{address}", headers={"accept-language": "fr"} | headers)


def test_pages(scene: Scene) -> None:
    answers = {name: get(scene, address) for name, address in scene.pages().items()}
    assert all(marked.OPEN in answer.text for answer in answers.values()), "nothing is marked"
    found = {name: unmarked(answer) for name, answer in answers.items()}
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "address",
    [
        "{failed}/errors",
        "{failed}/errors?reason=NOT_DICOM",
        "{failed}/errors?q=nothing",
        "{exported}/errors",
        "{failed}/progress",
        "{dataset}/operations?state=failed&started=2001",
        "{dataset}/operations?started=soon",
        "{store}/import/folders?bucket=incoming&prefix=2024%2F",
        "{store}/import/preview?modify=on&uri=gs%3A%2F%2Fincoming%2F**",
        "{store}/import/preview?modify=on&uri=gs%3A%2F%2Fincoming%2Fnone%2F**",
        "{store}/import/preview?modify=on&uri=gs%3A%2F%2Fincoming%2F**%2Fx",
        "{store}/import/preview",
        "{store}/export/selection?filter=all",
        "{store}/export/selection?filter=lines&lines=%2Fstudies%2F1.2",
        "{store}/export/selection?filter=search",
        "{store}/export/selection?filter=file&filter_uri=x",
        "{store}/export?picked=1",
        "{store}/studies?PatientName=okafor",
        "{store}/studies?PatientName=nobody",
        "{store}/studies?StudyDate=last+7+days",
        "{store}/studies?StudyDate=01%2F02%2F2004",
        "{store}/studies?StudyDate=2005+-+2004",
        "{store}/studies?StudyDate=soon",
        "{store}/storage-class?PatientName=o",
        "{store}/storage-class",
        "{store}/delete-studies?study={uid}",
        "{store}/studies/{uid}/storage-class",
        "{store}/studies/{uid}/series/{series}/delete",
        "{store}/studies/{uid}/series/{series}/instances/{sop}?q=nothing",
        "{store}/studies/1.2.3",
        "{store}/query?text=x",
        "{store}/query/columns?table=p.hospital.instances",
        "{store}/query/none",
        "find?q=okafor",
        "find?q=nobody",
        "find?q=gs%3A%2F%2Fa",
        "create",
        "projects/p/locations/us-central1/datasets/none",
    ],
)
def test_parts_and_searches(scene: Scene, address: str) -> None:
    path = address.format(
        failed=scene.failed,
        exported=scene.exported,
        dataset=scene.dataset,
        store=scene.store,
        uid=UID,
        series=SERIES,
        sop=SOP,
    )
    is_part = any(
        part in address for part in ("/errors", "/progress", "/folders", "/preview", "/selection", "/columns")
    )
    headers = {"hx-request": "true"} if is_part else {}
    answer = scene.server.client.get(f"/console/{path}", headers={"accept-language": "fr"} | headers)
    if answer.text.strip():
        assert unmarked(answer) == []


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("create", {"dataset": "a b", "project": "p", "location": "us-central1"}),
        ("{dataset}/create", {"store": "x", "labels": "no equals"}),
        ("{dataset}/delete", {"confirm": "no"}),
        ("{store}/import", {}),
        ("{store}/export", {}),
        ("{store}/export", {"bucket": "exports", "filter": "search"}),
        ("{store}/export", {"bucket": "exports", "filter": "lines", "lines": ""}),
        ("{store}/export", {"destination": "bigquery", "filter": "search"}),
        ("{store}/storage-class/file", {}),
        ("{store}/searches/save", {}),
        ("{store}/query", {"text": ""}),
        ("{store}/delete-studies", {"studies": UID, "confirm": "no"}),
        ("{exported}/import-failed", {}),
        ("nothing", {}),
    ],
)
def test_forms_that_are_refused(scene: Scene, address: str, form: dict[str, str]) -> None:
    path = address.format(dataset=scene.dataset, store=scene.store, exported=scene.exported)
    answer = scene.server.client.post(f"/console/{path}", data=form, headers={"accept-language": "fr"})
    assert answer.status_code in (400, 404)
    assert unmarked(answer) == []


def test_a_word_outside_of_marks_is_found() -> None:
    page = '<p>⟦Studies⟧ of radiology</p><p title="Show all">⟦{n} of ⟦3 studies⟧ here⟧ DICOM · 1.5k</p><code>ok</code>'
    assert marked.find_unmarked(page, ["radiology"]) == ["⟦Studies⟧ of radiology", "Show all"]
    assert marked.find_unmarked(page.replace(" of radiology", ""), []) == ["Show all"]
