"""projects.locations.list (§3, §4.2.6)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.paging import check_paging
from tests.support.server import GantryServer

PATH = "v1/projects/p/locations"
REGIONS = """
    northamerica-northeast1 northamerica-northeast2 us-central1 us-east1 us-east4 us-west1 us-west2 us-west3
    southamerica-east1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1
    asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 europe-north1 europe-west2 europe-west3
    europe-west4 europe-west6 me-west1 me-central1 me-central2 us eu
"""


def test_the_default_location_of_gcloud_is_among_them(server: GantryServer) -> None:
    """§2.7"""
    found = {item["locationId"]: item["name"] for item in server.call("GET", PATH)["locations"]}
    assert found["us-central1"] == "projects/p/locations/us-central1"
    assert {"us", "eu", "europe-west4"} <= found.keys()


def test_every_region_of_the_service_is_served(server: GantryServer) -> None:
    """§2.7: by name, and no other."""
    found = {item["locationId"] for item in server.call("GET", PATH)["locations"]}
    assert found - {"africa-south1"} == set(REGIONS.split())


def test_filter_by_name(server: GantryServer) -> None:
    """§4.2.6"""
    answer = server.call("GET", PATH, params={"filter": "displayName=us-east1"})
    assert [item["locationId"] for item in answer["locations"]] == ["us-east1"]
    assert server.call("GET", PATH, params={"filter": "displayName=tokyo"}) == {}


def test_a_filter_on_an_unknown_field_is_refused(server: GantryServer) -> None:
    refused(server.request("GET", PATH, params={"filter": "colour=red"}), "INVALID_ARGUMENT", "colour")


def test_paging(gantry: Gantry) -> None:
    """§4.2.4"""
    check_paging(gantry, PATH, "locations")
