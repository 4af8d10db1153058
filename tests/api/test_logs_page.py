"""``/logs/…`` for people: the console has the one page of an operation's error log."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.gantry import Gantry

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_browsers_are_sent_to_the_page_of_the_operation(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "x.dcm", b"not DICOM")
    name = gantry.import_("*")["name"]
    answer = gantry.request("GET", f"logs/{name}", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/{name}")
    assert "Failed</span>" in gantry.request("GET", answer.headers["location"]).text


@pytest.mark.parametrize(("accept", "query"), [("*/*", ""), ("application/json", ""), (BROWSER["accept"], "?alt=json")])
def test_everyone_else_gets_json(gantry: Gantry, accept: str, query: str) -> None:
    name = gantry.export()["name"]
    answer = gantry.request("GET", f"logs/{name}{query}", headers={"accept": accept})
    assert (answer.status_code, answer.json()) == (200, {})


def test_a_name_cannot_lead_elsewhere(gantry: Gantry) -> None:
    project = quote('"><script>?#&//evil.example/', safe="").replace("%2F", "")
    path = f"projects/{project}/locations/us-central1/datasets/d/operations/1"
    target = gantry.request("GET", f"logs/{path}", headers=BROWSER).headers["location"]
    assert target.lower() == f"/console/{path}".lower()
