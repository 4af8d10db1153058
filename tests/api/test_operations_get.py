"""projects.locations.datasets.operations.get (§5.4). What operations look like is told where they are started."""

from __future__ import annotations

import re

import pytest

from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import counts

METHODS = "ImportDicomData", "ExportDicomData"


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


def read_metric(gantry: Gantry, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", gantry.request("GET", "metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.one_process("nginx gives nobody the metrics")
def test_the_bytes_that_passed_through_are_told(gantry: Gantry) -> None:
    """An addition of our own: each object counts that was read to its end, whatever became of it."""
    objects = {"a": make_instance(pixel_bytes=2 << 20), "b": b"no DICOM", "c": b"x" * (2 << 20)}
    for key, data in (objects | {"d": objects["a"]}).items():
        gantry.put(gantry.bucket, key, data)
    before = [read_metric(gantry, f'gantry_transferred_bytes_total{{method="{each}"}}') for each in METHODS]
    imported = gantry.import_("**")
    read = 2 * len(objects["a"]) + len(objects["b"])  # of c no more than its beginning
    assert counts(imported) == (2, 2) and "transfer" not in imported["metadata"]
    exported = gantry.export()
    assert "transfer" not in exported["metadata"], "it is told of buckets of a provider: tests/buckets"
    after = [read_metric(gantry, f'gantry_transferred_bytes_total{{method="{each}"}}') for each in METHODS]
    assert [now - then for then, now in zip(before, after, strict=True)] == [read, len(objects["a"])]


def test_where_no_bytes_passed_nothing_is_told(gantry: Gantry) -> None:
    assert "transfer" not in gantry.export()["metadata"]
    assert "transfer" not in gantry.import_("none/**")["metadata"]


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
