"""projects.locations.datasets.dicomStores.dicomWeb.studies.series.getSeriesMetrics (§4.2.7)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.filled import A, B, C, D, Uids, fill, sizes, web
from tests.support.gantry import Gantry


@pytest.mark.parametrize("uids", [(A, B), (C,), (D,)])
def test_instances_of_the_series_alone_are_counted(gantry: Gantry, uids: tuple[Uids, ...]) -> None:
    fill(gantry)
    study, series, _ = uids[0]
    name = f"{gantry.store}/dicomWeb/studies/{study}/series/{series}"
    assert gantry.call("GET", f"v1/{name}:getSeriesMetrics") == {"series": name} | sizes(*uids)


@pytest.mark.parametrize(("study", "series"), [("1.1", "1.1.3"), ("1.2", "1.1.2"), ("1.3", "1.1.1")])
def test_a_missing_series_is_not_found(gantry: Gantry, study: str, series: str) -> None:
    fill(gantry)
    refused(gantry.request("GET", f"{web(gantry, study, series)}:getSeriesMetrics"), "NOT_FOUND", series)
