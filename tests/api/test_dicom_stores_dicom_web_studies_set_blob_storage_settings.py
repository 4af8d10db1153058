"""projects.locations.datasets.dicomStores.dicomWeb.studies.setBlobStorageSettings, at three levels (§11.3)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused, violated_field
from tests.support.filled import CONTENT, A, B, classes, fill, storage_info, stored_uids, web
from tests.support.gantry import Gantry
from tests.support.server import Json, counts

ARCHIVE = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}


def change(gantry: Gantry, uids: tuple[str, ...], body: Json = ARCHIVE, tail: str = "", version: str = "v1") -> Json:
    """The finished operation."""
    url = f"{web(gantry, *uids, version=version)}{tail}:setBlobStorageSettings"
    return gantry.wait(gantry.call("POST", url, json=body)["name"])


@pytest.mark.parametrize(
    ("uids", "changed"),
    [(("1.1",), "AAAS"), (("1.2",), "SSSA"), (A[:2], "AASS"), (("1.1", "1.1.2"), "SSAS"), (A, "ASSS"), (B, "SASS")],
)
@pytest.mark.parametrize("tail", ["", "/"])
def test_what_lies_below_gets_the_class_and_nothing_else(
    gantry: Gantry, uids: tuple[str, ...], changed: str, tail: str
) -> None:
    """§11.3: a trailing slash is accepted."""
    operation = change(fill(gantry), uids, tail=tail)
    assert operation["metadata"]["counter"] == {"success": str(changed.count("A"))}
    assert "".join(name[0] for name in classes(gantry)) == changed
    assert stored_uids(gantry) == set(CONTENT)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_operation(gantry: Gantry, version: str) -> None:
    """§5.2"""
    operation = change(fill(gantry), A, version=version)
    method = f"google.cloud.healthcare.{version}.storageinfo.StorageInfoService.SetBlobStorageSettings"
    assert operation["metadata"]["apiMethodName"] == method
    assert operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}


def test_snake_case_and_numbers(gantry: Gantry) -> None:
    """§1.4, §1.14"""
    fill(gantry)
    change(gantry, A, {"blob_storage_settings": {"blob_storage_class": 3}})
    assert classes(gantry)[0] == "COLDLINE"


def test_the_time_tells_when_the_class_was_changed_last(gantry: Gantry) -> None:
    """§11.7: setting the class that is there already changes nothing."""
    fill(gantry)
    imported = storage_info(gantry, A)["blobStorageInfo"]["storageClassUpdateTime"]
    assert counts(change(gantry, ("1.1",))) == (3, 0)
    changed = storage_info(gantry, A)["blobStorageInfo"]["storageClassUpdateTime"]
    assert changed > imported
    assert counts(change(gantry, ("1.1",))) == (3, 0)
    assert storage_info(gantry, A)["blobStorageInfo"]["storageClassUpdateTime"] == changed


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"blobStorageSettings": {}},
        {"blobStorageSettings": {"blobStorageClass": None}},
        {"blobStorageSettings": {"blobStorageClass": "BLOB_STORAGE_CLASS_UNSPECIFIED"}},
        {"blobStorageSettings": {"blobStorageClass": 0}},
        {"blobStorageSettings": {"blobStorageClass": 5}},
        {"blobStorageSettings": {"blobStorageClass": "archive"}},
    ],
)
def test_a_class_is_required(gantry: Gantry, body: Json) -> None:
    """§11.1, §11.8"""
    answer = fill(gantry).request("POST", f"{web(gantry, *A)}:setBlobStorageSettings", json=body)
    assert violated_field(refused(answer, "INVALID_ARGUMENT")) == "blobStorageSettings.blobStorageClass"
    assert len(gantry.operations()) == 1


def test_a_path_and_a_filter_together_are_refused(gantry: Gantry) -> None:
    body = ARCHIVE | {"filterConfig": {"resourcePathsGcsUri": "gs://b/f"}}
    answer = fill(gantry).request("POST", f"{web(gantry, *A)}:setBlobStorageSettings", json=body)
    assert violated_field(refused(answer, "INVALID_ARGUMENT")) == "filterConfig"


@pytest.mark.parametrize("uids", [("1.3",), ("1.1", "1.1.3"), ("1.2", "1.1.2"), ("1.2", "1.1.1", "1.1.1.2")])
def test_a_path_that_names_nothing_is_not_found_at_once(gantry: Gantry, uids: tuple[str, ...]) -> None:
    answer = fill(gantry).request("POST", f"{web(gantry, *uids)}:setBlobStorageSettings", json=ARCHIVE)
    refused(answer, "NOT_FOUND", uids[-1])
    assert len(gantry.operations()) == 1
