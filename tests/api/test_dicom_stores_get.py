"""projects.locations.datasets.dicomStores.get (§3)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.gantry import Gantry


def test_a_store_is_described(gantry: Gantry) -> None:
    assert gantry.call("GET", f"v1/{gantry.store}") == {"name": gantry.store}


def test_a_missing_store_is_not_found(gantry: Gantry) -> None:
    """§1.19"""
    refused(gantry.request("GET", f"v1/{gantry.store}-missing"), "NOT_FOUND", "missing")


def test_a_store_of_another_dataset_is_not_found(gantry: Gantry) -> None:
    gantry.server.create_store(f"{gantry.dataset_id}-other", "other")
    refused(gantry.request("GET", f"v1/{gantry.dataset}/dicomStores/other"), "NOT_FOUND")
