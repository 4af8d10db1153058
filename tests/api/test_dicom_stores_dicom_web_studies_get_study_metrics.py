"""projects.locations.datasets.dicomStores.dicomWeb.studies.getStudyMetrics (§4.2.7)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.filled import A, B, C, D, fill, sizes, web
from tests.support.gantry import Gantry


def test_series_and_instances_of_the_study_alone_are_counted(gantry: Gantry) -> None:
    fill(gantry)
    for study, series, uids in (("1.1", "2", (A, B, C)), ("1.2", "1", (D,))):
        name = f"{gantry.store}/dicomWeb/studies/{study}"
        expected = {"study": name, "seriesCount": series} | sizes(*uids)
        assert gantry.call("GET", f"v1/{name}:getStudyMetrics") == expected


def test_a_missing_study_is_not_found(gantry: Gantry) -> None:
    fill(gantry)
    refused(gantry.request("GET", f"{web(gantry, '1.3')}:getStudyMetrics"), "NOT_FOUND", "studies/1.3")
    gantry.store = gantry.new_store("other")
    refused(gantry.request("GET", f"{web(gantry, '1.1')}:getStudyMetrics"), "NOT_FOUND")
