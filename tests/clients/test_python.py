"""google-api-python-client, unmodified; only its address is set (§17.12)."""

from __future__ import annotations

from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import counts


@pytest.fixture(params=["v1", "v1beta1"])
def client(gantry: Gantry, request: pytest.FixtureRequest) -> Any:
    return discovery.build(
        "healthcare",
        request.param,
        client_options={"api_endpoint": gantry.server.url},
        credentials=AnonymousCredentials(),
        static_discovery=True,
    )


def test_import_and_export(gantry: Gantry, client: Any) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    datasets = client.projects().locations().datasets()
    for verb, body in (
        ("import_", {"gcsSource": {"uri": f"gs://{gantry.bucket}/*.dcm"}}),
        ("export", {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}"}}),
    ):
        started = getattr(datasets.dicomStores(), verb)(name=gantry.store, body=body).execute()
        assert started.keys() == {"name"}
        assert counts(gantry.wait(started["name"])) == (1, 0)
        operation = datasets.operations().get(name=started["name"]).execute()
        assert (operation["done"], operation["metadata"]["counter"]) == (True, {"success": "1"})
    assert gantry.objects(gantry.out).keys() == {"1.2/1.3/1.4.dcm"}


def test_errors_carry_message_and_details(gantry: Gantry, client: Any) -> None:
    """§1.19: HttpError reads both."""
    stores = client.projects().locations().datasets().dicomStores()
    with pytest.raises(HttpError) as caught:
        stores.import_(name=gantry.store, body={"gcsSource": {"uri": "gs://b/**/x"}}).execute()
    assert (caught.value.status_code, "must stand at the end" in caught.value.reason) == (400, True)
    with pytest.raises(HttpError) as caught:
        stores.import_(name=gantry.store, body={"gcsSouce": {}}).execute()
    assert caught.value.error_details[0]["fieldViolations"][0]["field"] == "gcsSouce"


def test_lists_by_list_next(gantry: Gantry, client: Any) -> None:
    """§4.2.4"""
    for number in range(3):
        gantry.new_store(f"s{number}")
    stores = client.projects().locations().datasets().dicomStores()
    request, found = stores.list(parent=gantry.dataset, pageSize=2), []
    while request is not None:
        answer = request.execute()
        found += [item["name"].rpartition("/")[2] for item in answer["dicomStores"]]
        request = stores.list_next(request, answer)
    assert found == ["s0", "s1", "s2", "store"]


def test_a_query_longer_than_a_url(gantry: Gantry, client: Any) -> None:
    """§1.16: sent as a POST that overrides its method."""
    text = " AND ".join(["NOT labels.k=v"] * 200)
    answer = client.projects().locations().datasets().dicomStores().list(parent=gantry.dataset, filter=text).execute()
    assert answer == {"dicomStores": [{"name": gantry.store}]}


def test_patch_with_a_mask_and_delete(gantry: Gantry, client: Any) -> None:
    stores = client.projects().locations().datasets().dicomStores()
    changed = stores.patch(name=gantry.store, updateMask="labels", body={"labels": {"k": "v"}}).execute()
    assert changed == {"name": gantry.store, "labels": {"k": "v"}}
    assert stores.delete(name=gantry.store).execute() == {}


def test_a_method_that_is_not_there_yet_is_told_as_such(gantry: Gantry, client: Any) -> None:
    with pytest.raises(HttpError) as caught:
        client.projects().locations().datasets().deidentify(sourceDataset=gantry.dataset, body={}).execute()
    assert caught.value.status_code == 501
