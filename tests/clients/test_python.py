"""google-api-python-client with the functions of the how-to pages, word for word but for the address (§17.12)."""

from __future__ import annotations

from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import LOCATION, PROJECT, counts


@pytest.fixture(params=["v1", "v1beta1"])
def client(gantry: Gantry, request: pytest.FixtureRequest) -> Any:
    return discovery.build(
        "healthcare",
        request.param,
        client_options={"api_endpoint": gantry.server.url},
        credentials=AnonymousCredentials(),
        static_discovery=True,
    )


def import_dicom_instance(
    client: Any, project_id: str, location: str, dataset_id: str, dicom_store_id: str, content_uri: str
) -> Any:
    dicom_store_parent = f"projects/{project_id}/locations/{location}/datasets/{dataset_id}"
    dicom_store_name = f"{dicom_store_parent}/dicomStores/{dicom_store_id}"

    body = {"gcsSource": {"uri": f"gs://{content_uri}"}}

    # Escape "import()" method keyword because "import"
    # is a reserved keyword in Python
    request = client.projects().locations().datasets().dicomStores().import_(name=dicom_store_name, body=body)
    return request.execute()


def export_dicom_instance(
    client: Any, project_id: str, location: str, dataset_id: str, dicom_store_id: str, uri_prefix: str
) -> Any:
    dicom_store_parent = f"projects/{project_id}/locations/{location}/datasets/{dataset_id}"
    dicom_store_name = f"{dicom_store_parent}/dicomStores/{dicom_store_id}"

    body = {"gcsDestination": {"uriPrefix": f"gs://{uri_prefix}"}}

    request = client.projects().locations().datasets().dicomStores().export(name=dicom_store_name, body=body)
    return request.execute()


def test_the_pages_import_and_export(gantry: Gantry, client: Any) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    ids = (PROJECT, LOCATION, gantry.dataset_id, gantry.store_id)
    operations = client.projects().locations().datasets().operations()
    for start, place in ((import_dicom_instance, f"{gantry.bucket}/*.dcm"), (export_dicom_instance, gantry.out)):
        started = start(client, *ids, place)
        assert started.keys() == {"name"}
        assert counts(gantry.wait(started["name"])) == (1, 0)
        operation = operations.get(name=started["name"]).execute()
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
