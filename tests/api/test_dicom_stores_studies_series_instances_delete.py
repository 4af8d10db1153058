"""projects.locations.datasets.dicomStores.studies.series.instances.delete (§10.5)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.filled import A, B, C, D, Uids, fill, stored_uids, web
from tests.support.gantry import Gantry


def test_an_instance_goes_at_once(gantry: Gantry) -> None:
    fill(gantry)
    assert gantry.call("DELETE", web(gantry, *A)) == {}
    assert len(gantry.operations()) == 1
    assert stored_uids(gantry) == {B, C, D}
    refused(gantry.request("DELETE", web(gantry, *A)), "NOT_FOUND")


def test_a_body_and_its_type_are_ignored(gantry: Gantry) -> None:
    headers = {"content-type": "application/dicom+json; charset=utf-8"}
    assert fill(gantry).call("DELETE", web(gantry, *A), content=b"[]", headers=headers) == {}


def test_series_and_study_go_with_the_last_instance(gantry: Gantry) -> None:
    fill(gantry)
    gantry.call("DELETE", web(gantry, *C))
    refused(gantry.request("GET", f"{web(gantry, *C[:2])}:getSeriesMetrics"), "NOT_FOUND")
    assert gantry.call("GET", f"{web(gantry, '1.1')}:getStudyMetrics")["seriesCount"] == "1"
    gantry.call("DELETE", web(gantry, *D))
    refused(gantry.request("GET", f"{web(gantry, '1.2')}:getStudyMetrics"), "NOT_FOUND")


@pytest.mark.parametrize("uids", [("1.3", *A[1:]), ("1.1", "1.1.3", A[2]), ("1.2", *B[1:])])
def test_what_is_missing_is_not_found(gantry: Gantry, uids: Uids) -> None:
    refused(fill(gantry).request("DELETE", web(gantry, *uids)), "NOT_FOUND", uids[2])
    assert stored_uids(gantry) == {A, B, C, D}
