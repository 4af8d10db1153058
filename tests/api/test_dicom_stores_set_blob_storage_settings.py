"""projects.locations.datasets.dicomStores.setBlobStorageSettings: by a filter file (§11.3, §7.2)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused, violated_field
from tests.support.filled import A, C, classes, fill, path
from tests.support.gantry import Gantry
from tests.support.server import Json, counts


def request(gantry: Gantry, filter_file: bytes, storage_class: object = "NEARLINE", version: str = "v1") -> Json:
    """The finished operation of a request with a filter file of these bytes."""
    uri = gantry.put(gantry.bucket, "filter.csv", filter_file)
    body = {
        "blobStorageSettings": {"blobStorageClass": storage_class},
        "filterConfig": {"resourcePathsGcsUri": uri},
    }
    return gantry.wait(gantry.call("POST", f"{version}/{gantry.store}:setBlobStorageSettings", json=body)["name"])


@pytest.mark.parametrize(
    ("lines", "changed"),
    [
        (["/studies/1.1"], "NNNS"),
        (["/studies/1.1/series/1.1.1"], "NNSS"),
        ([f"/{path(*A)}", "/studies/1.2"], "NSSN"),
        (["/studies/1.1", f"/{path(*C)}"], "NNNS"),
        (["/studies/1.3"], "SSSS"),
        ([], "SSSS"),
    ],
)
def test_what_the_file_names_gets_the_class(gantry: Gantry, lines: list[str], changed: str) -> None:
    """§7.2.1, §11.4"""
    operation = request(fill(gantry), "\r\n".join(lines).encode())
    assert "response" in operation
    assert counts(operation) == (changed.count("N"), 0)
    assert "".join(name[0] for name in classes(gantry)) == changed


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_operation(gantry: Gantry, version: str) -> None:
    """§5.2"""
    operation = request(fill(gantry), b"/studies/1.1", version=version)
    method = f"google.cloud.healthcare.{version}.storageinfo.StorageInfoService.SetBlobStorageSettings"
    assert operation["metadata"]["apiMethodName"] == method
    assert operation["metadata"]["counter"] == {"success": "3"}
    assert operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}


def test_a_line_that_is_no_path_is_a_failure_and_the_others_count(gantry: Gantry) -> None:
    """§7.2.6"""
    operation = request(fill(gantry), b"f0_\n/studies/1.1\nstudy 1.2\n")
    assert counts(operation) == (3, 1)
    (sample,) = operation["error"]["details"][0]["sampleErrors"]
    assert sample["resource"] == f"gs://{gantry.bucket}/filter.csv#line=3"
    assert operation["error"]["code"] == 3
    assert classes(gantry) == ["NEARLINE", "NEARLINE", "NEARLINE", "STANDARD"]


def test_a_missing_file_is_told_by_the_operation(gantry: Gantry) -> None:
    """§7.2.5"""
    uri = f"gs://{gantry.bucket}/missing.csv"
    body = {"blobStorageSettings": {"blobStorageClass": 2}, "filterConfig": {"resourcePathsGcsUri": uri}}
    operation = gantry.wait(gantry.call("POST", f"v1/{gantry.store}:setBlobStorageSettings", json=body)["name"])
    assert operation["error"]["code"] == 5
    assert operation["error"]["details"][0]["sampleErrors"][0]["resource"] == uri


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("filterConfig", {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}),
        ("filterConfig.resourcePathsGcsUri", {"filterConfig": {"resourcePathsGcsUri": "gs://b/*"}}),
        ("filterConfig.resourcePathsGcsUri", {"filterConfig": {}}),
        ("blobStorageSettings.blobStorageClass", {"blobStorageSettings": {}}),
        ("blobStorageSettings.blobStorageClass", {"blobStorageSettings": {"blobStorageClass": "COLD"}}),
        ("blobStorageSettings.blobStorageClass", {"blobStorageSettings": {"blobStorageClass": 0}}),
        ("blobStorageSettings.blobStorageClass", {"blobStorageSettings": {"blobStorageClass": [1]}}),
    ],
)
def test_a_request_that_says_too_little_is_refused(gantry: Gantry, field: str, body: Json) -> None:
    """§11.1, §11.3, §11.8"""
    whole = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}} | body
    if field != "filterConfig":
        whole = {"filterConfig": {"resourcePathsGcsUri": "gs://b/f"}} | whole
    answer = gantry.request("POST", f"v1/{gantry.store}:setBlobStorageSettings", json=whole)
    assert violated_field(refused(answer, "INVALID_ARGUMENT")) == field
    assert gantry.operations() == []


def test_a_missing_store_is_not_found(gantry: Gantry) -> None:
    body = {
        "blobStorageSettings": {"blobStorageClass": "ARCHIVE"},
        "filterConfig": {"resourcePathsGcsUri": "gs://b/f"},
    }
    refused(gantry.request("POST", f"v1/{gantry.store}-missing:setBlobStorageSettings", json=body), "NOT_FOUND")
