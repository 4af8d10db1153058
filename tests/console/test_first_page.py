"""The stores on the first page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import Web


def card(page: str, store: str) -> str:
    found = re.search(rf'<a href="/console/{store}"><strong>.*?</a>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else ""


def test_a_store_is_a_card_with_what_came_lately(gantry: Gantry) -> None:
    Web(gantry).stored(instance(("1.2", "1.3", "1.4")))
    page = gantry.request("GET", "console/").text
    today = datetime.now(UTC).date()
    held = card(page, gantry.store)
    assert "1 instance ·" in held and "Stored in the last 30 days: 1, at most 1 on a day" in held
    assert any(f"Last change: {today - timedelta(days)} (UTC)" in held for days in (0, 1))


@pytest.mark.slow
def test_an_empty_server_is_begun_with_in_one_step(tmp_path: Path) -> None:
    """A name that is wrong is told, and what is made stays."""
    server = start_server(tmp_path / "data", tmp_path / "buckets")
    try:
        with httpx.Client(base_url=server.url, headers={"sec-fetch-site": "same-origin"}) as client:
            page = client.get("/console/").text
            assert "No dataset yet" in page and page.count('class="button primary"') + page.count("primary") == 1
            wrong = client.post("/console/begin", data={"dataset": "hospital", "store": "a/b"})
            assert wrong.status_code == 400 and "dicomStoreId" in wrong.text and ">hospital</a>" in wrong.text
            begun = client.post("/console/begin", data={"dataset": "clinic", "store": "main", "upload": ""})
            place = "projects/gantry/locations/us-central1/datasets/clinic/dicomStores/main"
            assert (begun.status_code, begun.headers["location"]) == (303, f"/console/{place}/upload")
            assert client.get(f"/v1/{place}").status_code == 200
            assert "0 instances · 0 bytes Nothing stored yet" in card(client.get("/console/").text, place)
            again = client.post("/console/begin", data={"dataset": "clinic", "store": "other"})
            assert again.status_code == 409 and client.get(f"/v1/{place[:-4]}other").status_code == 404
    finally:
        server.stop()
