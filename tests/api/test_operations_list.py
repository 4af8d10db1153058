"""projects.locations.datasets.operations.list (§5.4.1, §5.4.2)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.paging import all_pages, check_paging


def names(gantry: Gantry, **params: object) -> list[str]:
    pages = all_pages(gantry, f"v1/{gantry.dataset}/operations", "operations", **params)
    return [item["name"] for page in pages for item in page]


def test_whole_operations_newest_first(gantry: Gantry) -> None:
    """§5.4.1"""
    made = [gantry.export(), gantry.import_("nothing"), gantry.export()]
    listed = gantry.call("GET", f"v1/{gantry.dataset}/operations")["operations"]
    assert listed[:3] == made[::-1]
    assert listed[3]["metadata"]["apiMethodName"].endswith("CreateDataset")
    assert len(listed) == 4


def test_operations_of_this_dataset_only(gantry: Gantry) -> None:
    """§2.5"""
    gantry.server.create_store(f"{gantry.dataset_id}-other", "store")
    assert len(names(gantry)) == 1


@pytest.mark.parametrize("size", [1, 2, 100])
def test_filters(gantry: Gantry, size: int) -> None:
    """§5.4.1"""
    exported, imported = gantry.export()["name"], gantry.import_("nothing")["name"]
    everything = names(gantry)
    for version in ("v1", "v1beta1"):
        method = f"google.cloud.healthcare.{version}.dicom.DicomService.ImportDicomData"
        assert names(gantry, filter=f"metadata.apiMethodName={method}", pageSize=size) == [imported]
    method = "google.cloud.healthcare.v1.dicom.DicomService.ExportDicomData"
    assert names(gantry, filter=f'done=true AND metadata.apiMethodName="{method}"', pageSize=size) == [exported]
    assert names(gantry, filter="done=true", pageSize=size) == everything
    assert names(gantry, filter="done = false", pageSize=size) == []


def test_what_runs_is_found_by_its_filter(gantry: Gantry, big_bucket: str) -> None:
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    assert names(gantry, filter="done=false") == [name]
    gantry.call("POST", f"v1/{name}:cancel", json={})
    gantry.wait(name)
    assert names(gantry, filter="done=false") == []


@pytest.mark.parametrize(
    "text", ["done", "done=maybe", "done=", "name=x", "done=true done=false", "done=true AND", "NOT done=true"]
)
def test_other_filters_are_refused(gantry: Gantry, text: str) -> None:
    response = gantry.request("GET", f"v1/{gantry.dataset}/operations", params={"filter": text})
    refused(response, "INVALID_ARGUMENT", "filter")


def test_partial_success_is_not_implemented(gantry: Gantry) -> None:
    """§5.4.2"""
    path = f"v1/{gantry.dataset}/operations"
    refused(gantry.request("GET", f"{path}?returnPartialSuccess=true"), "UNIMPLEMENTED")
    assert gantry.call("GET", f"{path}?returnPartialSuccess=false")["operations"]


def test_a_missing_dataset_is_not_found(gantry: Gantry) -> None:
    refused(gantry.request("GET", f"v1/{gantry.dataset}-missing/operations"), "NOT_FOUND")


def test_paging(gantry: Gantry) -> None:
    """§4.2.4"""
    for _ in range(5):
        gantry.export()
    check_paging(gantry, f"v1/{gantry.dataset}/operations", "operations")
