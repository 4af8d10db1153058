"""projects.locations.datasets.get (§3)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry


def test_a_dataset_is_described(gantry: Gantry) -> None:
    assert gantry.call("GET", f"v1/{gantry.dataset}") == {"name": gantry.dataset}


@pytest.mark.parametrize(
    "name", ["{dataset}-missing", "{dataset}%20", "projects/q/locations/us-central1/datasets/{id}"]
)
def test_a_missing_dataset_is_not_found(gantry: Gantry, name: str) -> None:
    """§1.19"""
    path = name.format(dataset=gantry.dataset, id=gantry.dataset_id)
    refused(gantry.request("GET", f"v1/{path}"), "NOT_FOUND")
