"""projects.locations.datasets.dicomStores.delete (§4.2.2)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry


def test_a_store_is_gone_at_once(gantry: Gantry) -> None:
    assert gantry.call("DELETE", f"v1/{gantry.store}") == {}
    refused(gantry.request("GET", f"v1/{gantry.store}"), "NOT_FOUND")
    refused(gantry.request("DELETE", f"v1/{gantry.store}"), "NOT_FOUND")
    assert gantry.call("GET", f"v1/{gantry.dataset}/dicomStores") == {}


def test_the_name_is_free_at_once_and_the_new_store_is_empty(gantry: Gantry) -> None:
    """§4.2.2: deleting a store deletes its contents."""
    gantry.put(gantry.bucket, "a.dcm", make_instance())
    gantry.import_("a.dcm")
    gantry.call("DELETE", f"v1/{gantry.store}")
    assert gantry.new_store(gantry.store_id) == gantry.store
    assert gantry.stored() == {}


def test_operations_of_a_deleted_store_can_still_be_read(gantry: Gantry) -> None:
    """§2.5: an operation belongs to the dataset."""
    operation = gantry.export()
    gantry.call("DELETE", f"v1/{gantry.store}")
    assert gantry.call("GET", f"v1/{operation['name']}") == operation


def test_an_import_into_a_store_that_goes_meanwhile_ends_and_says_so(gantry: Gantry, big_bucket: str) -> None:
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    gantry.call("DELETE", f"v1/{gantry.store}")
    error = gantry.wait(name)["error"]
    assert (error["code"], "deleted" in error["message"]) == (5, True), error


def test_a_missing_store_is_not_found(gantry: Gantry) -> None:
    refused(gantry.request("DELETE", f"v1/{gantry.store}-missing"), "NOT_FOUND")
