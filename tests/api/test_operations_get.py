"""projects.locations.datasets.operations.get (§5.4). What operations look like is told where they are started."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.gantry import Gantry


def test_the_start_answers_with_the_name_that_get_takes(gantry: Gantry) -> None:
    """§5.1.1"""
    started = gantry.call(
        "POST", f"v1/{gantry.store}:export", json={"gcsDestination": {"uriPrefix": f"gs://{gantry.out}"}}
    )
    assert gantry.call("GET", f"v1/{started['name']}")["name"] == started["name"]
    gantry.wait(started["name"])


def test_a_finished_operation_does_not_change(gantry: Gantry) -> None:
    operation = gantry.export()
    gantry.export()
    assert gantry.call("GET", f"v1/{operation['name']}") == operation


def test_an_operation_of_another_dataset_is_not_found(gantry: Gantry) -> None:
    """§2.5"""
    operation = gantry.export()
    gantry.server.create_store(f"{gantry.dataset_id}-other", "store")
    other = operation["name"].replace(gantry.dataset_id, f"{gantry.dataset_id}-other")
    refused(gantry.request("GET", f"v1/{other}"), "NOT_FOUND")


def test_there_is_neither_delete_nor_wait(gantry: Gantry) -> None:
    """§5.4.4"""
    name = gantry.export()["name"]
    refused(gantry.request("DELETE", f"v1/{name}"), "NOT_FOUND")
    refused(gantry.request("POST", f"v1/{name}:wait"), "NOT_FOUND")
