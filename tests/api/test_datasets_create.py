"""projects.locations.datasets.create (§2.2, §4.2.1, §5.2)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused, violated_field
from tests.support.gantry import Gantry
from tests.support.server import Json


def create(gantry: Gantry, dataset: str, body: Json | None = None, version: str = "v1") -> Json:
    return gantry.call("POST", f"{version}/{gantry.location}/datasets", params={"datasetId": dataset}, json=body or {})


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_operation_is_done_and_lies_below_the_new_dataset(gantry: Gantry, version: str) -> None:
    """§4.2.1, §5.1.2, §5.2"""
    name = f"{gantry.dataset}-new"
    operation = create(gantry, f"{gantry.dataset_id}-new", version=version)
    package = f"google.cloud.healthcare.{version}"
    assert operation["name"].startswith(f"{name}/operations/")
    assert operation["name"].rpartition("/")[2].isdigit()
    assert operation["done"] is True
    assert operation["metadata"]["@type"] == f"type.googleapis.com/{package}.OperationMetadata"
    assert operation["metadata"]["apiMethodName"] == f"{package}.dataset.DatasetService.CreateDataset"
    assert operation["response"] == {"@type": f"type.googleapis.com/{package}.dataset.Dataset", "name": name}
    assert gantry.call("GET", f"v1/{operation['name']}") == operation
    assert gantry.call("GET", f"v1/{name}") == {"name": name}


def test_settings_are_kept(accepting: Gantry) -> None:
    """§4.1"""
    key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    body = {"timeZone": "America/New_York", "encryptionSpec": {"kmsKeyName": key}}
    create(accepting, f"{accepting.dataset_id}-new", body)
    assert accepting.call("GET", f"v1/{accepting.dataset}-new") == {"name": f"{accepting.dataset}-new"} | body


def test_output_only_fields_are_ignored(gantry: Gantry) -> None:
    """§4.1"""
    create(gantry, f"{gantry.dataset_id}-new", {"name": "projects/other", "satisfiesPzs": True})
    assert gantry.call("GET", f"v1/{gantry.dataset}-new") == {"name": f"{gantry.dataset}-new"}


@pytest.mark.parametrize("suffix", ["", "_-.", "Größe", "データ", "٣", "." * 200])
def test_ids_of_letters_and_digits_of_any_script(gantry: Gantry, suffix: str) -> None:
    """§2.2"""
    dataset = f"{gantry.dataset_id}-{suffix}"
    create(gantry, dataset)
    assert gantry.call("GET", f"v1/{gantry.location}/datasets/{dataset}")["name"].endswith(dataset)


@pytest.mark.parametrize("dataset", ["", "a b", "a/b", "a:b", "a%", "x" * 257, "a\n", "\U0001f600", "a,b"])
def test_other_ids_are_refused(gantry: Gantry, dataset: str) -> None:
    """§2.2"""
    response = gantry.request("POST", f"v1/{gantry.location}/datasets", params={"datasetId": dataset})
    refused(response, "INVALID_ARGUMENT", "datasetId")


def test_a_missing_id_is_refused(gantry: Gantry) -> None:
    """§2.2"""
    refused(gantry.request("POST", f"v1/{gantry.location}/datasets", json={}), "INVALID_ARGUMENT", "datasetId")


def test_the_id_may_come_in_snake_case(gantry: Gantry) -> None:
    """§1.4"""
    path = f"v1/{gantry.location}/datasets?dataset_id={gantry.dataset_id}-new"
    assert gantry.call("POST", path)["name"].startswith(f"{gantry.dataset}-new/")


def test_a_second_dataset_of_the_same_name_is_refused(gantry: Gantry) -> None:
    """§1.19"""
    path = f"v1/{gantry.location}/datasets?datasetId={gantry.dataset_id}"
    refused(gantry.request("POST", path), "ALREADY_EXISTS", gantry.dataset_id)


def test_locations_and_projects_are_apart(gantry: Gantry) -> None:
    """§2.7"""
    for parent in ("projects/p/locations/eu", "projects/q/locations/us-central1"):
        answer = gantry.call("POST", f"v1/{parent}/datasets?datasetId={gantry.dataset_id}")
        assert answer["name"].startswith(f"{parent}/datasets/")


def test_a_location_that_is_not_served_is_refused(gantry: Gantry) -> None:
    """§2.7"""
    response = gantry.request("POST", "v1/projects/p/locations/atlantis/datasets?datasetId=d")
    refused(response, "NOT_FOUND", "atlantis", "us-central1")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../etc/passwd"}, "timeZone"),
        ({"timezone": "UTC"}, "timezone"),
        ({"encryptionSpec": {"kmsKeyName": "key"}}, "encryptionSpec.kmsKeyName"),
        (
            {"encryptionSpec": {"kmsKeyName": "projects/p/locations/eu/keyRings/r/cryptoKeys/k"}},
            "encryptionSpec.kmsKeyName",
        ),
    ],
)
def test_bad_settings_are_refused_and_nothing_is_made(gantry: Gantry, body: Json, field: str) -> None:
    """§4.1"""
    path = f"v1/{gantry.location}/datasets?datasetId={gantry.dataset_id}-new"
    assert violated_field(refused(gantry.request("POST", path, json=body), "INVALID_ARGUMENT", field)) == field
    refused(gantry.request("GET", f"v1/{gantry.dataset}-new"), "NOT_FOUND")
