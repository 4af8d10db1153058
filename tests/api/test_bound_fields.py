"""A body that is the whole request message may repeat what the path says (§16.1 of November 2026)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gantry.errors import shorten
from tests.support.answers import refused, violated_field
from tests.support.gantry import Gantry
from tests.support.server import Json

OTHER = "projects/p/locations/us-central1/datasets/other/dicomStores/other"
CLASS: Json = {"blobStorageSettings": {"blobStorageClass": "NEARLINE"}}


def imports(gantry: Gantry) -> tuple[str, str, Json]:
    return "name", gantry.store, {"gcsSource": {"uri": f"gs://{gantry.bucket}/**"}}


def exports(gantry: Gantry) -> tuple[str, str, Json]:
    return "name", gantry.store, {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}"}}


def classes(gantry: Gantry) -> tuple[str, str, Json]:
    return "resource", gantry.store, CLASS | {"filterConfig": {"resourcePathsGcsUri": f"gs://{gantry.bucket}/f.csv"}}


def policies(gantry: Gantry) -> tuple[str, str, Json]:
    return "resource", gantry.store, {"policy": {"bindings": []}}


def dataset_policies(gantry: Gantry) -> tuple[str, str, Json]:
    return "resource", gantry.dataset, {"policy": {"bindings": []}}


def permissions(gantry: Gantry) -> tuple[str, str, Json]:
    return "resource", gantry.store, {"permissions": ["healthcare.dicomStores.get"]}


CALLS: list[tuple[str, Callable[[Gantry], tuple[str, str, Json]]]] = [
    ("import", imports),
    ("export", exports),
    ("setBlobStorageSettings", classes),
    ("setIamPolicy", policies),
    ("setIamPolicy", dataset_policies),
    ("testIamPermissions", permissions),
]


@pytest.mark.parametrize(("verb", "make"), CALLS)
def test_what_the_path_says_may_be_said_again(
    gantry: Gantry, verb: str, make: Callable[..., tuple[str, str, Json]]
) -> None:
    field, resource, body = make(gantry)
    for value in (resource, "", None):
        response = gantry.request("POST", f"v1/{resource}:{verb}", json={field: value} | body)
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("value", [OTHER, 5, ["x"], "x" * 50_000])
@pytest.mark.parametrize(("verb", "make"), CALLS)
def test_what_contradicts_the_path_is_refused(
    gantry: Gantry, verb: str, make: Callable[..., tuple[str, str, Json]], value: object
) -> None:
    field, resource, body = make(gantry)
    error = refused(gantry.request("POST", f"v1/{resource}:{verb}", json={field: value} | body), "INVALID_ARGUMENT")
    assert violated_field(error) == field
    assert resource in error["message"]
    assert len(error["message"]) < 1000
    assert gantry.operations() == []


def test_the_body_of_a_lifecycle_tool_with_unquoted_keys(gantry: Gantry) -> None:
    """As GoogleCloudPlatform/medical-imaging sends it."""
    body = f"""{{
        resource: "{gantry.store}",
        filter_config: {{ resource_paths_gcs_uri: "gs://{gantry.bucket}/filter.txt" }},
        blob_storage_settings: {{ blob_storage_class: "COLDLINE" }},
    }}"""
    response = gantry.request("POST", f"v1beta1/{gantry.store}:setBlobStorageSettings", content=body.encode())
    assert response.status_code == 200, response.text


def test_the_resource_of_a_study_is_its_whole_path(gantry: Gantry) -> None:
    """The study is not there: a body that fits the path is 404, one that does not is 400."""
    path = f"{gantry.store}/dicomWeb/studies/1.2"
    fits = gantry.request("POST", f"v1/{path}:setBlobStorageSettings", json={"resource": path} | CLASS)
    assert fits.status_code == 404, fits.text
    other = gantry.request("POST", f"v1/{path}/:setBlobStorageSettings", json={"resource": f"{path}/"} | CLASS)
    assert other.status_code == 404, other.text
    other = gantry.request("POST", f"v1/{path}:setBlobStorageSettings", json={"resource": gantry.store} | CLASS)
    refused(other, "INVALID_ARGUMENT", "resource")


def test_a_cancel_may_name_its_operation(gantry: Gantry) -> None:
    name = gantry.server.import_(gantry.store, f"gs://{gantry.bucket}/**")
    assert gantry.call("POST", f"v1/{name}:cancel", json={"name": name}) == {}
    refused(gantry.request("POST", f"v1/{name}:cancel", json={"name": f"{name}0"}), "INVALID_ARGUMENT", "name")


@pytest.mark.parametrize(("resource", "status"), [("p", 200), ("projects/p", 200), ("projects/q", 400), ("q", 400)])
@pytest.mark.parametrize("verb", ["getIamPolicy", "testIamPermissions"])
def test_projects_are_named_by_their_id(gantry: Gantry, verb: str, resource: str, status: int) -> None:
    """Resource Manager v1: ``v1/projects/{resource}:getIamPolicy``."""
    assert gantry.request("POST", f"v1/projects/p:{verb}", json={"resource": resource}).status_code == status


def test_the_policy_of_a_project_is_asked_for_with_options_in_the_body(gantry: Gantry) -> None:
    path = "v1/projects/p:getIamPolicy"
    assert gantry.call("POST", path, json={"options": {"requestedPolicyVersion": 3}}).keys() >= {"etag"}
    for wrong in ({"options": {"requestedPolicyVersion": 7}}, {"option": {}}):
        refused(gantry.request("POST", path, json=wrong), "INVALID_ARGUMENT", "option")


def test_a_new_resource_may_name_its_parent_and_itself(gantry: Gantry) -> None:
    """Terraform sends the id alone as ``name``; the name of a new resource is output only."""
    made = gantry.call("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId=a", json={"name": "a"})
    assert made == {"name": f"{gantry.dataset}/dicomStores/a"}
    gantry.call("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId=b", json={"parent": gantry.dataset})
    wrong = gantry.request("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId=c", json={"parent": OTHER})
    refused(wrong, "INVALID_ARGUMENT", "parent")


@pytest.mark.parametrize("kind", ["dataset", "store"])
def test_a_change_may_name_what_it_changes(gantry: Gantry, kind: str) -> None:
    resource = gantry.dataset if kind == "dataset" else gantry.store
    for name in (resource, resource.rpartition("/")[2]):
        assert gantry.call("PATCH", f"v1/{resource}", json={"name": name})["name"] == resource
    refused(gantry.request("PATCH", f"v1/{resource}", json={"name": OTHER}), "INVALID_ARGUMENT", "name")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"gcsSource": []}, "gcsSource", "object"),
        ({"gcsSource": {"uri": 1}}, "gcsSource.uri", "text"),
        ({"gcs_source": {"uri": "gs://b/o", "URI": ""}}, "gcsSource.URI", "unknown field in GcsSource"),
        ({"gcsSource": {}, "gcs_source": {}}, "gcsSource", "twice"),
        ({"blobStorageSettings": {"blobStorageClass": True}}, "blobStorageSettings.blobStorageClass", "number"),
        ({"x" * 60_000: 1}, shorten("x" * 60_000, 100), "unknown field"),
    ],
)
def test_what_does_not_fit_is_named_in_plain_words(gantry: Gantry, body: Json, field: str, words: str) -> None:
    error = refused(gantry.request("POST", f"v1/{gantry.store}:import", json=body), "INVALID_ARGUMENT", words)
    assert violated_field(error) == field
    assert len(error["message"]) < 300


def test_a_body_of_very_many_unknown_fields_is_refused_at_the_first(gantry: Gantry) -> None:
    body = "{" + ",".join(f'"k{number}":1' for number in range(90_000)) + "}"
    error = refused(gantry.request("POST", f"v1/{gantry.store}:import", content=body.encode()), "INVALID_ARGUMENT")
    assert violated_field(error) == "k0"
