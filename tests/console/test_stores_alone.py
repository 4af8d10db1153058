"""The console for somebody who has a role on a DICOM store, and none on its dataset."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gantry import server
from gantry.index.sql import SqlIndex
from gantry.names import DatasetName, DicomStoreName
from gantry.resources import Dataset, DicomStore
from tests.dicomweb.instances import instance
from tests.support.access import Guarded, member
from tests.support.databases import make_settings
from tests.support.statements import record_statements

DATASETS = "projects/p/locations/us-central1/datasets"
VIEWER = "roles/healthcare.dicomViewer"
TABLED = r'class="main" href="[^"]*/dicomStores/([^"/]+)"'
MANY = 130
"""Stores in one dataset, of which every fifth is his: more than one page looks at."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """``sam`` has a role on a store, ``con`` by a condition of the dataset's policy, ``may`` on many of many, ``dan``
    on a dataset, ``eve`` on nothing."""
    made = Guarded(tmp_path_factory.mktemp("stores"), "sam", "con", "may", "dan", "eve")
    for dataset in ("d", "many", "other"):
        made.call("POST", f"v1/{DATASETS}?datasetId={dataset}")
    for store in ("d/dicomStores/mine", "d/dicomStores/theirs", "other/dicomStores/secret"):
        parent, _, name = store.rpartition("/")
        made.call("POST", f"v1/{DATASETS}/{parent}?dicomStoreId={name}")
    made.grant(f"{DATASETS}/d/dicomStores/mine", (VIEWER, "sam"), ("roles/healthcare.dicomEditor", "dan"))
    condition = {"title": "one", "expression": f'resource.name == "{DATASETS}/d/dicomStores/theirs"'}
    bindings = [
        {"role": VIEWER, "members": [member("con")], "condition": condition},
        {"role": "roles/healthcare.datasetViewer", "members": [member("dan")]},
    ]
    policy = {"version": 3, "bindings": bindings}
    made.call("POST", f"v1/{DATASETS}/d:setIamPolicy", json={"policy": policy})
    for number in range(MANY):
        made.call("POST", f"v1/{DATASETS}/many/dicomStores?dicomStoreId=store-{number:03}")
        if number % 5 == 0:
            made.grant(f"{DATASETS}/many/dicomStores/store-{number:03}", (VIEWER, "may"))
    yield made
    made.server.stop()


def show(guarded: Guarded, who: str, path: str = "") -> str:
    response = guarded.request(who, "GET", f"console/{path}")
    assert response.status_code == 200, response.text
    return response.text


def test_he_finds_his_store_and_no_other_name(guarded: Guarded) -> None:
    page = show(guarded, "sam")
    assert f'href="/console/{DATASETS}/d/dicomStores/mine"' in page and "You may see these data stores" in page
    assert "theirs" not in page and "secret" not in page and "other" not in re.sub("not the other contents", "", page)
    assert f'href="/console/{DATASETS}/d"' not in page and "No dataset" not in page
    assert guarded.request("sam", "GET", f"console/{DATASETS}/d/dicomStores/mine/studies").status_code == 200


def test_a_condition_of_the_policy_above_counts(guarded: Guarded) -> None:
    page = show(guarded, "con")
    assert "/d/dicomStores/theirs" in page and "mine" not in page and "secret" not in page


def test_who_sees_the_dataset_finds_its_stores_there(guarded: Guarded) -> None:
    page = show(guarded, "dan")
    assert f'href="/console/{DATASETS}/d"' in page and not re.search(TABLED, page)


def test_who_has_no_role_is_told_so(guarded: Guarded) -> None:
    page = show(guarded, "eve")
    assert "/datasets/" not in page and "or on a data store in them" in page


def test_they_come_in_pages(guarded: Guarded) -> None:
    """Of so many as are his; those of others take no place in them."""
    page = show(guarded, "may")
    assert re.findall(TABLED, page) == [f"store-{number:03}" for number in range(0, MANY, 5)]
    assert "?after=" not in page
    rest = show(guarded, "may", "?after=p/us-central1/many/store-120")
    assert re.findall(TABLED, rest) == ["store-125"] and "First page" in rest


def test_the_search_of_the_head_looks_into_it(guarded: Guarded) -> None:
    path = f"v1/{DATASETS}/d/dicomStores/mine/dicomWeb/studies"
    data = instance(("1.2.7", "1.2.7.1", "1.2.7.1.1"), PatientID="HIS-1")
    assert guarded.request("ada", "POST", path, content=data).status_code == 200
    found = guarded.request("sam", "GET", "console/find?q=HIS-1")
    assert "1.2.7" in (found.headers.get("location", "") + found.text)
    assert "1.2.7" not in guarded.request("con", "GET", "console/find?q=HIS-1").text


def test_a_page_of_many_is_as_many_statements_as_a_page_of_one(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"the-token-of-sam {member('sam')}\n")
    tokens.chmod(0o600)
    settings = make_settings(tmp_path / "data", workers=1, auth="required", tokens_file=str(tokens))
    with server.open_server(settings, server.Edge(settings)) as opened:
        index = opened.seams.index
        assert isinstance(index, SqlIndex)
        counts = []
        for many in (1, 40):
            for number in range(len(counts) * 10, len(counts) * 10 + many):
                add(index, DicomStoreName("p", "us-central1", f"d{number}", "s"))
            with record_statements(index.database) as statements:
                page = ask(opened)
            counts.append(len(statements))
        assert len(re.findall(TABLED, page)) == 41
    assert counts[0] == counts[1]


def add(index: SqlIndex, name: DicomStoreName) -> None:
    policy = f'{{"bindings": [{{"role": "{VIEWER}", "members": ["{member("sam")}"]}}]}}'
    index.resources.create_dataset(Dataset(DatasetName(name.project, name.location, name.dataset)), "v1")
    index.resources.create_dicom_store(DicomStore(name))
    index.access.change_policy(name, lambda _: policy)


def ask(gantry: server.Gantry) -> str:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(gantry.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.get("/console/", headers={"authorization": "Bearer the-token-of-sam"})

    answer = asyncio.run(get())
    assert answer.status_code == 200, answer.text
    return answer.text
