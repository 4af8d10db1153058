"""The tab *Query* where there is nothing to ask yet."""

from __future__ import annotations

from pathlib import Path

from tests.support.gantry import Gantry
from tests.support.replicas import start_server


def test_without_the_setting_the_page_names_it(gantry: Gantry) -> None:
    page = gantry.request("GET", f"console/{gantry.store}/query")
    assert page.status_code == 200 and "no tables to query" in page.text
    assert "<code>bigquery</code>" in page.text and "GANTRY_BIGQUERY=" in page.text and "<textarea" not in page.text
    refused = gantry.request("POST", f"console/{gantry.store}/query", data={"text": "SELECT 1"})
    assert refused.status_code == 400
    export = gantry.request("GET", f"console/{gantry.store}/export?destination=bigquery")
    assert 'id="to-table"' in export.text
    assert gantry.request("GET", f"console/{gantry.store.rpartition('/')[0]}/none/query").status_code == 404


def test_without_a_table_the_page_leads_to_the_export(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    server = start_server(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_BIGQUERY": f"p.d={tmp_path}/tables"})
    try:
        gantry = Gantry(server)
        page = gantry.request("GET", f"console/{gantry.store}/query").text
        assert "There is no table yet" in page and f'href="/console/{gantry.store}/export?destination=bigquery"' in page
        assert "To begin with" not in page and "<textarea" in page
        form = gantry.request("GET", f"console/{gantry.store}/export?destination=bigquery").text
        assert 'value="bq://p.d.instances"' in form
    finally:
        server.stop()
