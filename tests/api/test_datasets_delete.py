"""projects.locations.datasets.delete (§4.2.2)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry


def test_a_dataset_goes_with_everything_in_it_but_what_was_exported(gantry: Gantry) -> None:
    """§4.2.2"""
    data = make_instance("1.2", "1.3", "1.4")
    gantry.put(gantry.bucket, "a.dcm", data)
    operation = gantry.import_("a.dcm")
    gantry.export()
    assert gantry.call("DELETE", f"v1/{gantry.dataset}") == {}
    for name in (gantry.dataset, gantry.store, operation["name"]):
        refused(gantry.request("GET", f"v1/{name}"), "NOT_FOUND")
    assert gantry.objects(gantry.out) == {"1.2/1.3/1.4.dcm": data}
    assert gantry.objects(gantry.bucket) == {"a.dcm": data}


def test_the_name_is_free_at_once_and_the_new_dataset_is_empty(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance())
    gantry.import_("a.dcm")
    gantry.call("DELETE", f"v1/{gantry.dataset}")
    store = gantry.server.create_store(gantry.dataset_id, gantry.store_id)
    assert store == gantry.store
    assert gantry.stored() == {}
    assert len(gantry.operations()) == 1, "of the old dataset's operations none is left"


def test_the_error_logs_of_other_datasets_stay(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "bad.dcm", b"not DICOM")
    other = gantry.server.create_store(f"{gantry.dataset_id}-other", "s")
    kept, gone = gantry.import_("bad.dcm"), gantry.import_("bad.dcm", store=other)
    assert gantry.failures(gone).keys() == {"bad.dcm"}
    gantry.call("DELETE", f"v1/{other.rpartition('/dicomStores')[0]}")
    assert gantry.call("GET", f"v1/{kept['name']}") == kept
    assert gantry.failures(kept).keys() == {"bad.dcm"}
    assert [operation["name"] for operation in gantry.operations()] == [kept["name"]]


def test_a_dataset_with_an_import_under_way_can_be_deleted(gantry: Gantry) -> None:
    for number in range(200):
        gantry.put(gantry.bucket, f"{number}.dcm", make_instance())
    name = gantry.server.import_(gantry.store, f"gs://{gantry.bucket}/**")
    assert gantry.call("DELETE", f"v1/{gantry.dataset}") == {}
    refused(gantry.request("GET", f"v1/{name}"), "NOT_FOUND")
    gantry.server.create_store(gantry.dataset_id, gantry.store_id)
    assert gantry.stored() == {}


def test_a_missing_dataset_is_not_found(gantry: Gantry) -> None:
    """§1.19"""
    refused(gantry.request("DELETE", f"v1/{gantry.dataset}-missing"), "NOT_FOUND")


def test_a_second_delete_is_not_found(gantry: Gantry) -> None:
    gantry.call("DELETE", f"v1/{gantry.dataset}")
    refused(gantry.request("DELETE", f"v1/{gantry.dataset}"), "NOT_FOUND")
