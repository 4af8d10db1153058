"""What a read costs in the index: how many statements run, each of them compiled before and run by the driver.

What SQLAlchemy itself does for a statement takes ten times as long as SQLite takes for a short one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from gantry import server
from gantry.index.sql import SqlIndex
from tests.dicomweb.instances import instance
from tests.support.databases import is_server, make_settings
from tests.support.statements import record_statements
from tests.support.web import multipart

DATASETS = "/v1/projects/p/locations/us-central1/datasets"
WEB = f"{DATASETS}/d/dicomStores/s/dicomWeb"
STUDY, SERIES, ONE = "studies/1.2.7", "studies/1.2.7/series/1.2.7.1", "studies/1.2.7/series/1.2.7.1/instances/1.2.7.1.1"
JSON, OCTETS = "application/dicom+json", "application/octet-stream"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def request(gantry: server.Gantry, verb: str, address: str, **more: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(gantry.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.request(verb, address, **more)

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def gantry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Gantry]:
    settings = make_settings(tmp_path_factory.mktemp("reads") / "data", auth="none", workers=1)
    with server.open_server(settings, server.Edge(settings)) as opened:
        request(opened, "POST", f"{DATASETS}?datasetId=d")
        request(opened, "POST", f"{DATASETS}/d/dicomStores?dicomStoreId=s")
        content_type, body = multipart([instance(("1.2.7", "1.2.7.1", f"1.2.7.1.{number}")) for number in (1, 2, 3)])
        answer = request(
            opened, "POST", f"{WEB}/studies", content=body, headers={"content-type": content_type, "accept": JSON}
        )
        assert answer.status_code == 200, answer.text
        yield opened


@pytest.mark.parametrize(
    ("path", "accept", "statements"),
    [
        # The number of the store, and the rows.
        ("studies?limit=25", JSON, 2),
        ("studies?PatientID=none", JSON, 2),
        ("studies?StudyInstanceUID=1.2.7,1.2.8", JSON, 2),
        ("series", JSON, 2),
        (f"{SERIES}/instances", JSON, 2),
        # The same again for what the series and the study say.
        (f"{STUDY}/instances", JSON, 4),
        ("instances", JSON, 4),
        (STUDY, STORED, 2),
        (ONE, STORED, 2),
        (ONE, "application/dicom; transfer-syntax=*", 2),
        # And the header.
        (f"{ONE}/frames/1", "multipart/related; type=application/octet-stream; transfer-syntax=*", 3),
        (f"{ONE}/metadata", JSON, 3),
        (f"{ONE}/bulkdata/7FE00010", OCTETS, 2),
    ],
)
def test_a_read_asks_the_index_no_more_than_it_must(
    gantry: server.Gantry, path: str, accept: str, statements: int
) -> None:
    index = gantry.seams.index
    assert isinstance(index, SqlIndex)
    others: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        others.append(statement)

    engine = index.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        with record_statements(index.database) as found:
            answer = request(gantry, "GET", f"{WEB}/{path}", headers={"accept": accept})
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code in (200, 204), answer.text
    # SQLite is asked without SQLAlchemy, PostgreSQL with the text as it is.
    expected = [statement for statement, _ in found] if is_server() else []
    assert (len(found), others) == (statements, expected)
