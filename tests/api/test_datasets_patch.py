"""projects.locations.datasets.patch (§4.2.3)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry

KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize("mask", ["timeZone", "time_zone", "*"])
def test_time_zone_is_changed_as_gcloud_does(gantry: Gantry, mask: str) -> None:
    """§13"""
    body = {"timeZone": "America/New_York"}
    changed = gantry.call("PATCH", f"v1/{gantry.dataset}?alt=json&updateMask={mask}", json=body)
    assert changed == {"name": gantry.dataset, "timeZone": "America/New_York"}
    assert gantry.call("GET", f"v1/{gantry.dataset}") == changed


def test_only_masked_fields_change(accepting: Gantry) -> None:
    """§4.2.3"""
    accepting.call("PATCH", f"v1/{accepting.dataset}?updateMask=timeZone", json={"timeZone": "UTC"})
    body = {"timeZone": "Europe/Berlin", "encryptionSpec": {"kmsKeyName": KEY}}
    changed = accepting.call("PATCH", f"v1/{accepting.dataset}?updateMask=encryptionSpec.kmsKeyName", json=body)
    assert changed == {"name": accepting.dataset, "timeZone": "UTC", "encryptionSpec": {"kmsKeyName": KEY}}


def test_a_masked_field_that_the_body_lacks_is_cleared(gantry: Gantry) -> None:
    gantry.call("PATCH", f"v1/{gantry.dataset}?updateMask=timeZone", json={"timeZone": "UTC"})
    assert gantry.call("PATCH", f"v1/{gantry.dataset}?updateMask=timeZone", json={}) == {"name": gantry.dataset}


def test_without_a_mask_what_is_in_the_body_changes(accepting: Gantry) -> None:
    accepting.call("PATCH", f"v1/{accepting.dataset}", json={"encryptionSpec": {"kmsKeyName": KEY}})
    changed = accepting.call("PATCH", f"v1beta1/{accepting.dataset}", json={"timeZone": "UTC"})
    assert changed == {"name": accepting.dataset, "timeZone": "UTC", "encryptionSpec": {"kmsKeyName": KEY}}


@pytest.mark.parametrize(
    "mask", ["name", "timezone", "timeZone.x", "satisfiesPzs", "timeZone,nothing", ".", "timeZone."]
)
def test_a_path_that_cannot_be_updated_is_refused(gantry: Gantry, mask: str) -> None:
    """§4.2.3"""
    response = gantry.request("PATCH", f"v1/{gantry.dataset}", params={"updateMask": mask}, json={"timeZone": "UTC"})
    refused(response, "INVALID_ARGUMENT", "updateMask")
    assert gantry.call("GET", f"v1/{gantry.dataset}") == {"name": gantry.dataset}


@pytest.mark.parametrize(
    "zone", ["Nowhere", "localtime", "Factory", "posixrules", "utc", "+01:00", "posix/UTC", "UTC "]
)
def test_a_bad_value_is_refused(gantry: Gantry, zone: str) -> None:
    """Some machines have files beside those of time zones."""
    response = gantry.request("PATCH", f"v1/{gantry.dataset}?updateMask=timeZone", json={"timeZone": zone})
    refused(response, "INVALID_ARGUMENT", zone)


def test_a_missing_dataset_is_not_found(gantry: Gantry) -> None:
    refused(
        gantry.request("PATCH", f"v1/{gantry.dataset}-no?updateMask=timeZone", json={"timeZone": "UTC"}), "NOT_FOUND"
    )
