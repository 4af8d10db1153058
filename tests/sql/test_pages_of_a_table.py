"""Pages of the rows of a table that is written meanwhile: all are of one version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import NotFound
from gantry.query_seams import Query
from gantry.storage.sql.engine import LocalQueries
from gantry.table_address import TableAddress
from tests.sql.tables import make_row, write_table
from tests.support.server import GantryServer

PATH = "bigquery/v2/projects/p/datasets/d/tables/t/data"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    (tmp_path / "tables").mkdir()
    write_table(tmp_path / "tables")
    env = {"GANTRY_BIGQUERY": f"p={tmp_path / 'tables'}"}
    started = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env)
    yield started
    started.stop()


def list_page(server: GantryServer, **params: Any) -> tuple[list[str], str, dict[str, Any]]:
    page = server.call("GET", PATH, params={"selectedFields": "InstanceNumber", **params})
    return [row["f"][0]["v"] for row in page["rows"]], page.get("pageToken", ""), page


def test_a_table_that_is_replaced_between_two_pages(server: GantryServer, tmp_path: Path) -> None:
    first, token, _ = list_page(server, maxResults=2)
    write_table(tmp_path / "tables", rows=[make_row(number) for number in range(10, 15)], key="new")
    second, token, page = list_page(server, maxResults=2, pageToken=token)
    third, token, _ = list_page(server, pageToken=token)
    assert first + second + third == list("024135") and not token, "by study"
    assert page["totalRows"] == "6"
    assert sorted(list_page(server)[0]) == ["10", "11", "12", "13", "14"]


def test_a_version_that_is_gone_is_said(server: GantryServer, tmp_path: Path) -> None:
    _, token, _ = list_page(server, maxResults=2)
    for wrong in ("../../../v.2", f"x{token}", f"{token}x", "v-none-1.2", ".2"):
        answer = server.request("GET", PATH, params={"pageToken": wrong})
        assert answer.status_code == 400 and "pageToken" in answer.text, wrong


def test_a_query_reads_the_version_that_is_asked_for(tmp_path: Path) -> None:
    write_table(tmp_path, key="old")
    engine = LocalQueries({"p": str(tmp_path)}, tmp_path / "spills")
    address = TableAddress("p", "d", "t")
    old = engine.look(address)
    write_table(tmp_path, rows=[make_row(9)], key="new")

    def count(version: str) -> Any:
        with engine.run(Query("SELECT COUNT(*) FROM p.d.t", "p", version=version)) as answer:
            return [row for batch in answer.batches for row in batch.read()]

    assert count(old.version) == [[6]] and count("") == [[1]]
    assert engine.look(address, old.version) == old._replace(modified=engine.look(address, old.version).modified)
    with pytest.raises(NotFound):
        count("v-gone-1")
    with pytest.raises(NotFound):
        engine.look(address, "../t")
    engine.close()
