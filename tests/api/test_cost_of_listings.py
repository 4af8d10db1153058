"""What a listing costs does not grow with its rows: a page of many is as many statements as a page of one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gantry import server
from gantry.errors import Code, Status
from gantry.index.sql import SqlIndex
from gantry.names import DatasetName, DicomStoreName
from gantry.resources import Batch, Dataset, DicomStore, Failure, Method
from tests.support.databases import make_settings
from tests.support.statements import record_statements

STORE = DicomStoreName("p", "us-central1", "d", "s")
ADDRESSES = [
    f"/v1/{STORE.parent}/operations",
    f"/v1/{STORE.parent}/operations?pageSize=1000",
    f"/v1beta1/{STORE.parent}/operations?filter=done%3Dtrue",
    f"/console/{STORE.parent}/operations",
    f"/console/{STORE.parent}",
    f"/console/{STORE}",
]


@pytest.fixture
def gantry(tmp_path: Path) -> Iterator[server.Gantry]:
    settings = make_settings(tmp_path / "data", workers=1)
    with server.open_server(settings, server.Edge(settings)) as opened:
        index = opened.seams.index
        index.resources.create_dataset(Dataset(STORE.parent), "v1")
        index.resources.create_dicom_store(DicomStore(STORE))
        yield opened


def add_operations(index: SqlIndex, count: int) -> list[str]:
    """Operations that have failed, each with a log; their numbers."""
    numbers = []
    status = Status(Code.INVALID_ARGUMENT, "no DICOM")
    for _ in range(count):
        made = index.operations.create_operation(STORE.parent, "v1", Method.IMPORT_DICOM_DATA, {}, str(STORE))
        claimed = index.operations.claim_operation("me")
        assert claimed is not None and claimed.name == made.name
        failures = tuple(Failure(f"gs://b/{number}", status) for number in range(3))
        index.operations.commit_batch(claimed, "me", Batch("k", failures=failures))
        index.operations.finish_operation(claimed, "me", status)
        numbers.append(str(made.name.id))
    return numbers


def get(gantry: server.Gantry, address: str) -> tuple[str, int]:
    """The text of an answer, and how many statements it took."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(gantry.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.get(address)

    index = gantry.seams.index
    assert isinstance(index, SqlIndex)
    with record_statements(index.database) as statements:
        answer = asyncio.run(ask())
    assert answer.status_code == 200, answer.text
    return answer.text, len(statements)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_with_many_operations_takes_as_many_statements_as_one_with_a_few(
    gantry: server.Gantry, address: str
) -> None:
    index = gantry.seams.index
    assert isinstance(index, SqlIndex)
    add_operations(index, 2)
    get(gantry, address)
    _, few = get(gantry, address)
    numbers = add_operations(index, 30)
    text, many = get(gantry, address)
    assert many == few
    assert "operations" not in address or all(number in text for number in numbers)


@pytest.mark.parametrize("address", [f"/v1/{STORE.parent}/dicomStores", f"/console/{STORE.parent}"])
def test_a_page_with_many_stores_takes_as_many_statements_as_one_with_a_few(
    gantry: server.Gantry, address: str
) -> None:
    get(gantry, address)
    _, few = get(gantry, address)
    for number in range(20):
        gantry.seams.index.resources.create_dicom_store(
            DicomStore(DicomStoreName("p", "us-central1", "d", f"s{number}"))
        )
    text, many = get(gantry, address)
    assert many == few and "s19" in text


@pytest.mark.parametrize("address", ["/v1/projects/p/locations/us-central1/datasets", "/console/"])
def test_a_page_with_many_datasets_takes_as_many_statements_as_one_with_a_few(
    gantry: server.Gantry, address: str
) -> None:
    get(gantry, address)
    _, few = get(gantry, address)
    for number in range(20):
        gantry.seams.index.resources.create_dataset(Dataset(DatasetName("p", "us-central1", f"d{number}")), "v1")
    text, many = get(gantry, address)
    assert many == few and "d19" in text
