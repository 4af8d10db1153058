"""projects.locations.get (§3, §2.7)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.server import GantryServer


def test_a_location_is_described(server: GantryServer) -> None:
    name = "projects/p/locations/europe-west4"
    answer = server.call("GET", f"v1/{name}")
    assert (answer["name"], answer["locationId"]) == (name, "europe-west4")


def test_multi_regions_are_locations(server: GantryServer) -> None:
    """§2.7"""
    for location in ("us", "eu"):
        assert server.call("GET", f"v1/projects/p/locations/{location}")["locationId"] == location


def test_a_place_that_is_not_served_is_not_found(server: GantryServer) -> None:
    refused(server.request("GET", "v1/projects/p/locations/atlantis"), "NOT_FOUND", "atlantis")
