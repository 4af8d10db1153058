"""Discovery documents, made from the method table (§3)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import googleapiclient
import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery

from gantry.api.methods import METHODS
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"


def methods(resource: Json, prefix: str = "") -> Iterator[tuple[str, Json]]:
    """(id below the locations, method) of a document's resources."""
    for name, method in resource.get("methods", {}).items():
        yield prefix + name, method
    for name, below in resource.get("resources", {}).items():
        yield from methods(below, f"{prefix}{name}.")


def by_id(document: Json) -> dict[str, Json]:
    return dict(methods(document["resources"]["projects"]["resources"]["locations"]))


def shape(method: Json) -> Json:
    """What a client library makes of a method, without words.

    The real pattern of bulk data demands a slash after the tag, so that clients refuse ``bulkdata/7FE00010`` (§10.3.7);
    ours does not.
    """
    parameters = {
        name: {key: value for key, value in each.items() if key != "description"}
        for name, each in method["parameters"].items()
    }
    for each in parameters.values():
        if "pattern" in each:
            each["pattern"] = each["pattern"].replace("bulkdata/[^/]+/.*", "bulkdata/.*")
    return {key: method.get(key) for key in ("httpMethod", "path", "parameterOrder")} | {"parameters": parameters}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_methods_have_the_shape_of_the_real_ones(gantry: Gantry, version: str) -> None:
    """§3: verbs, paths with their variables and patterns, parameters with their types."""
    ours = by_id(gantry.call("GET", f"$discovery/rest?version={version}"))
    real = by_id(json.loads((DOCUMENTS / f"healthcare.{version}.json").read_text()))
    assert {id: shape(method) for id, method in ours.items()} == {id: shape(real[id]) for id in ours}
    names = {"request", "response"}
    for id, method in ours.items():
        assert {key: method[key]["$ref"] for key in names & method.keys()} == {
            key: real[id][key]["$ref"] for key in names & real[id].keys()
        }, id


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha2"])
def test_exactly_the_methods_that_are_there(gantry: Gantry, version: str) -> None:
    document = gantry.call("GET", f"$discovery/rest?version={version}")
    there = {method.id for method in METHODS if method.handler is not None and version in method.versions}
    assert by_id(document).keys() == there
    assert (document["id"], document["version"]) == (f"healthcare:{version}", version)
    assert document["rootUrl"] == f"{gantry.server.url}/"
    assert gantry.call("GET", f"discovery/v1/apis/healthcare/{version}/rest") == document


def test_every_schema_that_is_named_is_there(gantry: Gantry) -> None:
    document = gantry.call("GET", "$discovery/rest?version=v1")
    named = set(re.findall(r'"\$ref": "(\w+)"', json.dumps(document)))
    assert named <= document["schemas"].keys()
    request = document["schemas"]["ImportDicomDataRequest"]["properties"]
    assert request["gcsSource"] == {"$ref": "GcsSource"}
    assert document["schemas"]["GcsSource"]["properties"] == {"uri": {"type": "string"}}
    assert document["schemas"]["DicomStore"]["properties"]["labels"]["additionalProperties"] == {"type": "string"}
    assert document["schemas"]["BigQueryDestination"]["properties"].keys() >= {"tableUri", "schemaJson"}


def test_the_words_are_our_own(gantry: Gantry) -> None:
    """No description of the real document stands in ours."""
    pattern = re.compile(r'"description": "((?:[^"\\]|\\.)*)"')
    ours = set(pattern.findall(json.dumps(gantry.call("GET", "$discovery/rest?version=v1"))))
    real = set(pattern.findall((DOCUMENTS / "healthcare.v1.json").read_text()))
    assert len(ours) > 20
    assert ours & real == set()


def test_bigquery_has_a_document_of_its_own(gantry: Gantry) -> None:
    for path in ("$discovery/rest?version=v2", "discovery/v1/apis/bigquery/v2/rest"):
        found = gantry.request("GET", path).json()
        assert found["id"] == "bigquery:v2" and found["rootUrl"] + found["servicePath"] == found["baseUrl"]
        assert {"query", "getQueryResults", "insert", "get"} <= found["resources"]["jobs"]["methods"].keys()


@pytest.mark.parametrize(
    "path",
    [
        "$discovery/rest?version=v3",
        "discovery/v1/apis/healthcare/v2/rest",
        "$discovery",
        "$discovery/apis",
        "discovery/v1/apis/healthcare/v9/rest",
        "discovery/v1/apis/storage/v1/rest",
    ],
)
def test_other_documents_are_not_found(gantry: Gantry, path: str) -> None:
    refused(gantry.request("GET", path), "NOT_FOUND", "$discovery/rest?version=v1")


@pytest.fixture(params=["v1", "v1beta1"])
def client(gantry: Gantry, request: pytest.FixtureRequest) -> Any:
    """Built by google-api-python-client from our document alone; nothing else tells it where we are."""
    return discovery.build(
        "healthcare",
        request.param,
        discoveryServiceUrl=f"{gantry.server.url}/$discovery/rest?version={{apiVersion}}",
        static_discovery=False,
        cache_discovery=False,
        credentials=AnonymousCredentials(),
    )


def test_a_client_that_builds_itself_imports_and_exports(gantry: Gantry, client: Any) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    datasets = client.projects().locations().datasets()
    for verb, body in (
        ("import_", {"gcsSource": {"uri": f"gs://{gantry.bucket}/*.dcm"}}),
        ("export", {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}"}}),
    ):
        started = getattr(datasets.dicomStores(), verb)(name=gantry.store, body=body).execute()
        assert counts(gantry.wait(started["name"])) == (1, 0)
        assert datasets.operations().get(name=started["name"]).execute()["done"]
    assert gantry.objects(gantry.out).keys() == {"1.2/1.3/1.4.dcm"}
    listed = datasets.operations().list(name=gantry.dataset, filter="done=true", pageSize=1).execute()
    assert len(listed["operations"]) == 1 and listed["nextPageToken"]
    assert datasets.operations().cancel(name=listed["operations"][0]["name"], body={}).execute() == {}


def test_a_client_that_builds_itself_manages_datasets_and_stores(gantry: Gantry, client: Any) -> None:
    datasets = client.projects().locations().datasets()
    id = f"{gantry.dataset_id}-new"
    datasets.create(parent=gantry.location, datasetId=id, body={"timeZone": "UTC"}).execute()
    name = f"{gantry.location}/datasets/{id}"
    changed = datasets.patch(name=name, updateMask="timeZone", body={"timeZone": "Europe/Paris"}).execute()
    assert changed == datasets.get(name=name).execute() == {"name": name, "timeZone": "Europe/Paris"}
    stores = datasets.dicomStores()
    store = stores.create(parent=name, dicomStoreId="s", body={"labels": {"k": "v"}}).execute()
    assert stores.list(parent=name, filter="labels.k=v").execute() == {"dicomStores": [store]}
    assert stores.delete(name=store["name"]).execute() == datasets.delete(name=name).execute() == {}
    places = client.projects().locations().list(name="projects/p", pageSize=1).execute()
    assert len(places["locations"]) == 1
