"""projects.locations.datasets.dicomStores.dicomWeb.studies.series.instances.getStorageInfo (§11.5)."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.support.answers import refused
from tests.support.filled import CONTENT, A, B, Uids, fill, path, sizes, storage_info, web
from tests.support.gantry import Gantry


def test_size_class_and_time_of_an_instance(gantry: Gantry) -> None:
    fill(gantry, blobStorageSettings={"blobStorageClass": "COLDLINE"})
    (operation,) = gantry.operations()
    began, ended = (datetime.fromisoformat(operation["metadata"][name]) for name in ("createTime", "endTime"))
    for uids in CONTENT:
        info = storage_info(gantry, uids)
        blob = info["blobStorageInfo"]
        assert info.keys() == {"referencedResource", "blobStorageInfo", "structuredStorageInfo"}
        assert info["referencedResource"] == f"{gantry.store}/dicomWeb/{path(*uids)}"
        assert blob.keys() == {"sizeBytes", "storageClass", "storageClassUpdateTime"}
        assert (blob["sizeBytes"], blob["storageClass"]) == (str(len(CONTENT[uids])), "COLDLINE")
        assert began <= datetime.fromisoformat(blob["storageClassUpdateTime"]) <= ended
        assert info["structuredStorageInfo"] == {"sizeBytes": sizes(uids)["structuredStorageSizeBytes"]}


def test_the_class_of_an_import_that_names_none(gantry: Gantry) -> None:
    """§11.1"""
    assert storage_info(fill(gantry), A)["blobStorageInfo"]["storageClass"] == "STANDARD"


@pytest.mark.parametrize("uids", [("1.3", *A[1:]), ("1.1", "1.1.3", A[2]), ("1.2", *B[1:])])
def test_a_missing_instance_is_not_found(gantry: Gantry, uids: Uids) -> None:
    fill(gantry)
    refused(gantry.request("GET", f"{web(gantry, *uids)}:getStorageInfo"), "NOT_FOUND", path(*uids))


def test_other_levels_have_no_storage_info(gantry: Gantry) -> None:
    """§11.5"""
    fill(gantry)
    for uids in (A[:1], A[:2]):
        assert gantry.request("GET", f"{web(gantry, *uids)}:getStorageInfo").status_code in (404, 501)
