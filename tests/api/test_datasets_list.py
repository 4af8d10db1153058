"""projects.locations.datasets.list (§3, §4.2.4)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.paging import check_paging


def parent(gantry: Gantry) -> str:
    """A project of the test's own."""
    return f"projects/{gantry.dataset_id}/locations/us-central1"


def test_no_datasets_are_an_empty_object(gantry: Gantry) -> None:
    assert gantry.call("GET", f"v1/{parent(gantry)}/datasets") == {}


def test_datasets_of_this_project_and_location_only(gantry: Gantry) -> None:
    path = f"{parent(gantry)}/datasets"
    gantry.call("POST", f"v1/{path}?datasetId=b", json={"timeZone": "UTC"})
    gantry.call("POST", f"v1/{path}?datasetId=a")
    gantry.call("POST", f"v1/projects/{gantry.dataset_id}/locations/eu/datasets?datasetId=c")
    assert gantry.call("GET", f"v1/{path}") == {
        "datasets": [{"name": f"{path}/a"}, {"name": f"{path}/b", "timeZone": "UTC"}]
    }


def test_paging(gantry: Gantry) -> None:
    """§4.2.4"""
    path = f"v1/{parent(gantry)}/datasets"
    for name in ("a", "B", "é", "1", "-", "a.", "a-"):
        gantry.call("POST", path, params={"datasetId": name})
    check_paging(gantry, path, "datasets")


def test_a_token_of_another_list_is_refused(gantry: Gantry) -> None:
    """§4.2.4"""
    for location in ("us-central1", "eu"):
        for name in ("a", "b"):
            gantry.call("POST", f"v1/projects/{gantry.dataset_id}/locations/{location}/datasets?datasetId={name}")
    token = gantry.call("GET", f"v1/{parent(gantry)}/datasets?pageSize=1")["nextPageToken"]
    other = f"v1/projects/{gantry.dataset_id}/locations/eu/datasets"
    refused(gantry.request("GET", other, params={"pageToken": token}), "INVALID_ARGUMENT", "pageToken")


def test_a_deleted_dataset_is_not_listed(gantry: Gantry) -> None:
    path = f"v1/{parent(gantry)}/datasets"
    gantry.call("POST", f"{path}?datasetId=a")
    gantry.call("DELETE", f"{path}/a")
    assert gantry.call("GET", path) == {}
