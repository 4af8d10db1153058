"""What stands around every page: the search field for everything, and what is running; and the list of operations."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from gantry.console import everything
from gantry.errors import ResourceExhausted, StatusError, Unavailable
from gantry.names import DicomStoreName
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web

A, B = ("1.7.1", "1.7.1.1", "1.7.1.1.1"), ("1.7.2", "1.7.2.1", "1.7.2.1.1")


@pytest.fixture(scope="module")
def world(server: GantryServer) -> Gantry:
    """Two stores, with a study each; an import with an error, and an export."""
    gantry = Gantry(server)
    other = gantry.new_store("other")
    Web(gantry).stored(instance(A, PatientName="Doe^Jane", PatientID="PX-1", AccessionNumber="ACC9"))
    gantry.put(gantry.bucket, "b.dcm", instance(B, PatientName="Doe^John", PatientID="PX-2"))
    gantry.put(gantry.bucket, "c.txt", b"text")
    gantry.import_("*", store=other)
    gantry.export()
    return gantry


def find(gantry: Gantry, text: str, at: str = "") -> Any:
    return gantry.request("GET", f"console/find?q={quote(text, safe='')}&at={at}")


def studies(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    return set(re.findall(r'/studies/([\d.]+)"', answer.text))


@pytest.mark.parametrize("text", ["doe", "jane", "px-", "PX-1", "ACC"])
def test_a_patient_and_an_id(world: Gantry, text: str) -> None:
    expected = {"doe": {A[0], B[0]}, "px-": {A[0], B[0]}}.get(text, {A[0]})
    assert studies(find(world, text, world.dataset)) == expected
    within = find(world, text, world.store)
    assert studies(within) == {A[0]} and "Search all stores of" in within.text
    assert A[0] in studies(find(world, text)) or world.dataset_id not in find(world, text).text


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_uid_leads_to_its_page(world: Gantry, depth: int) -> None:
    levels = ("studies", "series", "instances")
    path = "/".join(f"{level}/{uid}" for level, uid in list(zip(levels, B, strict=True))[:depth])
    answer = find(world, f" {B[depth - 1]} ", world.dataset)
    assert answer.headers["location"] == f"/console/{world.dataset}/dicomStores/other/{path}"
    assert "Nothing found" in find(world, "1.9.9.9", world.dataset).text


def test_an_address_and_an_operation(world: Gantry) -> None:
    answer = find(world, "gs://b/x/*", world.store)
    assert answer.headers["location"] == f"/console/{world.store}/import?uri=gs%3A%2F%2Fb%2Fx%2F%2A"
    assert "Open a DICOM store first" in find(world, "gs://b/x").text
    name = world.operations()[0]["name"]
    assert find(world, name.rpartition("/")[2], world.store).headers["location"] == f"/console/{name}"
    assert "Nothing found" in find(world, "123456", world.dataset).text and find(world, "").status_code == 200


def listed(gantry: Gantry, query: str) -> list[str]:
    text = gantry.request("GET", f"console/{gantry.dataset}/operations?{query}").text
    return re.findall(r'class="main" href="[^"]+">([^<]+)</a>', text)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Export", "Import", "Create dataset"]),
        ("store=other", ["Import"]),
        ("store=store&kind=EXPORT_DICOM_DATA", ["Export"]),
        ("state=failed", ["Import"]),
        ("state=ok", ["Export", "Create dataset"]),
        ("state=running", []),
        ("state=cancelled", []),
        ("started=today&kind=IMPORT_DICOM_DATA", ["Import"]),
        ("started=2004", []),
    ],
)
def test_operations_are_filtered(world: Gantry, query: str, expected: list[str]) -> None:
    assert listed(world, query) == expected


def test_a_filter_that_cannot_be(world: Gantry) -> None:
    page = world.request("GET", f"console/{world.dataset}/operations?started=soon")
    assert page.status_code == 200 and 'role="alert"' in page.text


def test_what_runs_is_said_on_every_page(gantry: Gantry, big_bucket: str) -> None:
    assert "running" not in _badge(gantry.request("GET", f"console/{gantry.store}").text)
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    badge = _badge(gantry.request("GET", f"console/{gantry.store}/studies").text)
    is_done = gantry.call("GET", f"v1/{name}").get("done", False)
    assert is_done or "1 running" in badge
    gantry.wait(name)
    part = gantry.request("GET", f"console/running?at={gantry.dataset}", headers={"hx-request": "true"})
    assert part.status_code == 200 and "<html" not in part.text and "hidden" in part.text


def _badge(page: str) -> str:
    return page.partition('id="running"')[2].partition("</a>")[0].partition("<form")[0].partition(">")[2]


@pytest.mark.parametrize("error", [Unavailable("the index is away"), ResourceExhausted("too much")])
def test_a_search_that_cannot_be_made_now_is_no_search_without_results(
    monkeypatch: pytest.MonkeyPatch, error: StatusError
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(everything, "_within", lambda *_: None)
    monkeypatch.setattr(everything, "read_search", lambda *_: SimpleNamespace(words=()))
    monkeypatch.setattr(everything, "list_found", fail)
    nobody: Any = None
    with pytest.raises(type(error)):
        everything._find_studies(nobody, "Doe", DicomStoreName("p", "l", "d", "s"))
