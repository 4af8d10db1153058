"""projects.locations.datasets.operations.cancel (§5.4.3)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import counts


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha2"])
def test_an_import_stops_and_what_it_did_remains(gantry: Gantry, big_bucket: str, version: str) -> None:
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    assert gantry.call("POST", f"{version}/{name}:cancel", json={}) == {}
    operation = gantry.wait(name)
    assert operation["error"]["code"] == 1
    assert operation["metadata"]["cancelRequested"] is True
    assert "response" not in operation
    assert len(operation["error"]["details"][0]["sampleErrors"]) == 1
    success, failure = counts(operation)
    assert (success < 3000, failure) == (True, 0)
    assert len(gantry.stored()) == success


@pytest.mark.slow
def test_an_export_stops(gantry: Gantry, big_bucket: str) -> None:
    gantry.import_(f"gs://{big_bucket}/**")
    name = gantry.server.export(gantry.store, f"gs://{gantry.out}")
    assert gantry.call("POST", f"v1/{name}:cancel") == {}
    operation = gantry.wait(name)
    assert operation["error"]["code"] == 1
    assert counts(operation)[0] <= len(gantry.objects(gantry.out)) < 3000


@pytest.mark.slow
def test_a_cancelled_import_can_be_repeated(gantry: Gantry, big_bucket: str) -> None:
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    gantry.call("POST", f"v1/{name}:cancel", json={})
    cancelled = gantry.wait(name)
    assert cancelled["error"]["code"] == 1 and counts(cancelled)[0] < 3000
    assert counts(gantry.import_(f"gs://{big_bucket}/**")) == (3000, 0)
    assert len(gantry.stored()) == 3000


def test_a_finished_operation_stays_as_it_is(gantry: Gantry) -> None:
    operation = gantry.export()
    for body in ({"json": {}}, {"content": b""}):
        assert gantry.call("POST", f"v1/{operation['name']}:cancel", **body) == {}
    assert gantry.call("GET", f"v1/{operation['name']}") == operation


def test_a_field_that_it_does_not_have_is_refused(gantry: Gantry) -> None:
    """§1.10"""
    name = gantry.export()["name"]
    refused(gantry.request("POST", f"v1/{name}:cancel", json={"names": name}), "INVALID_ARGUMENT", "names")


def test_a_missing_operation_is_not_found(gantry: Gantry) -> None:
    refused(gantry.request("POST", f"v1/{gantry.dataset}/operations/1:cancel", json={}), "NOT_FOUND")
