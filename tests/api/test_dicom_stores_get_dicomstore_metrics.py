"""projects.locations.datasets.dicomStores.getDICOMStoreMetrics (§4.2.7)."""

from __future__ import annotations

from tests.support.answers import refused
from tests.support.filled import CONTENT, A, B, C, fill, sizes, web
from tests.support.gantry import Gantry


def metrics(gantry: Gantry) -> dict[str, str]:
    return gantry.call("GET", f"v1/{gantry.store}:getDICOMStoreMetrics")


def test_an_empty_store_counts_nothing(gantry: Gantry) -> None:
    """§1.12: zeros are left out."""
    assert metrics(gantry) == {"name": gantry.store}


def test_everything_is_counted_and_numbers_are_strings(gantry: Gantry) -> None:
    """§1.13"""
    fill(gantry)
    assert metrics(gantry) == {"name": gantry.store, "studyCount": "2", "seriesCount": "3"} | sizes(*CONTENT)


def test_what_is_not_stored_again_is_not_counted_again(gantry: Gantry) -> None:
    before = metrics(fill(gantry))
    gantry.import_("**")
    assert metrics(gantry) == before


def test_what_is_deleted_is_not_counted(gantry: Gantry) -> None:
    fill(gantry)
    gantry.call("DELETE", web(gantry, "1.2"))
    assert metrics(gantry) == {"name": gantry.store, "studyCount": "1", "seriesCount": "2"} | sizes(A, B, C)
    gantry.call("DELETE", web(gantry, *C))
    assert metrics(gantry) == {"name": gantry.store, "studyCount": "1", "seriesCount": "1"} | sizes(A, B)
    gantry.call("DELETE", web(gantry, *B))
    assert metrics(gantry) == {"name": gantry.store, "studyCount": "1", "seriesCount": "1"} | sizes(A)
    gantry.call("DELETE", web(gantry, "1.1", "1.1.1"))
    assert metrics(gantry) == {"name": gantry.store}


def test_another_store_is_not_counted(gantry: Gantry) -> None:
    fill(gantry)
    other = gantry.new_store("other")
    assert gantry.call("GET", f"v1/{other}:getDICOMStoreMetrics") == {"name": other}


def test_a_missing_store_is_not_found(gantry: Gantry) -> None:
    refused(gantry.request("GET", f"v1/{gantry.store}-missing:getDICOMStoreMetrics"), "NOT_FOUND")
