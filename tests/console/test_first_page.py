"""The stores on the first page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.web import Web


def card(page: str, store: str) -> str:
    found = re.search(rf'<a href="[^"]*/dicomStores/{store}"><strong>.*?</a>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else ""


def test_stores_are_cards_for_those_who_may_see_them(gantry: Gantry) -> None:
    empty = gantry.server.create_store(gantry.dataset_id, "empty").rpartition("/")[2]
    Web(gantry).stored(instance(("1.2", "1.3", "1.4")))
    page = gantry.request("GET", "console/").text
    today = datetime.now(UTC).date()
    held = card(page, gantry.store.rpartition("/")[2])
    assert "1 instance ·" in held and "Stored in the last 30 days: 1, at most 1 on a day" in held
    assert any(f"Last change: {today - timedelta(days)} (UTC)" in held for days in (0, 1))
    assert "0 instances · 0 bytes Nothing stored yet" in card(page, empty)
