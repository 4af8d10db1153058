"""projects.locations.datasets.dicomStores.studies.delete (§10.5)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.filled import CONTENT, D, fill, stored_uids, web
from tests.support.gantry import Gantry
from tests.support.server import counts


def test_a_study_goes_and_the_others_stay(gantry: Gantry) -> None:
    fill(gantry)
    gantry.wait(gantry.call("DELETE", web(gantry, "1.1"))["name"])
    assert stored_uids(gantry) == {D}
    refused(gantry.request("GET", f"{web(gantry, '1.1')}:getStudyMetrics"), "NOT_FOUND")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_operation(gantry: Gantry, version: str) -> None:
    """§5.2: no counter in the documented reply."""
    answer = fill(gantry).call("DELETE", web(gantry, "1.1", version=version))
    operation = gantry.server.operation(answer["name"])
    assert operation == answer
    assert operation["done"] is True
    assert operation["metadata"].keys() == {"@type", "apiMethodName", "createTime", "endTime", "logsUrl"}
    method = f"google.cloud.healthcare.{version}.dicomweb.DicomWebService.DeleteStudy"
    assert operation["metadata"]["apiMethodName"] == method
    assert operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert operation in gantry.operations()


@pytest.mark.parametrize("body", [b"", b"null", b"{'a'", b"\xff"])
def test_a_body_and_its_type_are_ignored(gantry: Gantry, body: bytes) -> None:
    """§10.5"""
    headers = {"content-type": "application/dicom+json; charset=utf-8"}
    gantry.wait(fill(gantry).call("DELETE", web(gantry, "1.1"), content=body, headers=headers)["name"])
    assert stored_uids(gantry) == {D}


@pytest.mark.slow
def test_a_deleted_study_can_be_imported_again(gantry: Gantry) -> None:
    fill(gantry)
    gantry.call("DELETE", web(gantry, "1.1"))
    assert counts(gantry.import_("**")) == (4, 0)
    assert {tuple(key.split("/")): data for key, data in gantry.stored().items()} == CONTENT


def test_what_is_missing_is_not_found(gantry: Gantry) -> None:
    fill(gantry)
    refused(gantry.request("DELETE", web(gantry, "1.3")), "NOT_FOUND", "studies/1.3")
    gantry.call("DELETE", web(gantry, "1.2"))
    refused(gantry.request("DELETE", web(gantry, "1.2")), "NOT_FOUND")
    gantry.store += "-missing"
    refused(gantry.request("DELETE", web(gantry, "1.1")), "NOT_FOUND", "DICOM store")


def test_the_same_study_of_another_store_stays(gantry: Gantry) -> None:
    other = gantry.new_store("other")
    fill(gantry)
    gantry.import_("**", store=other)
    gantry.call("DELETE", web(gantry, "1.1"))
    assert len(gantry.stored(other)) == 4
