"""projects.locations.datasets.dicomStores.studies.series.delete (§10.5)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.filled import A, B, C, D, fill, stored_uids, web
from tests.support.gantry import Gantry


def test_a_series_goes_and_the_others_stay(gantry: Gantry) -> None:
    fill(gantry)
    operation = gantry.call("DELETE", web(gantry, *A[:2]))
    assert gantry.server.operation(operation["name"]) == operation
    method = "google.cloud.healthcare.v1.dicomweb.DicomWebService.DeleteSeries"
    assert operation["metadata"]["apiMethodName"] == method
    assert operation["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert stored_uids(gantry) == {C, D}


def test_a_study_goes_with_its_last_series(gantry: Gantry) -> None:
    fill(gantry)
    gantry.call("DELETE", web(gantry, *D[:2]))
    refused(gantry.request("GET", f"{web(gantry, '1.2')}:getStudyMetrics"), "NOT_FOUND")
    assert stored_uids(gantry) == {A, B, C}


@pytest.mark.parametrize(("study", "series"), [("1.1", "1.1.3"), ("1.2", "1.1.2"), ("1.3", "1.1.1")])
def test_what_is_missing_is_not_found(gantry: Gantry, study: str, series: str) -> None:
    refused(fill(gantry).request("DELETE", web(gantry, study, series)), "NOT_FOUND", series)
    assert stored_uids(gantry) == {A, B, C, D}
