"""v1beta1: PATCH of the metadata of a study or series, for each of its instances, by an operation (spec §10.2.11)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import httpx
import pydicom
import pytest

from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import Json, counts
from tests.support.web import ONE_AS_STORED, Web, uid_path, value

STUDY, CT, MR = "1.2.1", "1.2.1.1", "1.2.1.2"
DESCRIPTION = {"op": "add", "path": "/00081030", "value": {"vr": "LO", "Value": ["New knee"]}}


def numbered(series: str, number: int, **values: Any) -> bytes:
    modality = "CT" if series == CT else "MR"
    more = {"Modality": modality, "StudyDate": "20240101", "InstanceNumber": str(number), **values}
    return instance((STUDY, series, f"{series}.{number}"), PatientID="old", StudyDescription="Old hip", **more)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    """A study of forty instances, more than a first batch holds, and another study beside it."""
    made = Web(gantry, "v1beta1")
    made.stored(*(numbered(CT, number) for number in range(35)), *(numbered(MR, number) for number in range(5)))
    made.stored(instance(("1.2.2", "1.2.2.1", "1.2.2.1.1"), PatientID="old", StudyDescription="Old hip"))
    return made


def patch(web: Web, path: str, *operations: Any) -> httpx.Response:
    return web.gantry.request("PATCH", f"{web.root}/{path}/metadata", json=list(operations))


def patched(web: Web, path: str, *operations: Any) -> Json:
    """The operation when it has ended."""
    response = patch(web, path, *operations)
    assert (response.status_code, response.json().keys()) == (200, {"name"}), response.text
    return web.gantry.wait(response.json()["name"], version="v1beta1")


def values_of(web: Web, path: str, tag: str) -> set[Any]:
    return {value(each, tag) for each in web.metadata(path)}


def test_every_instance_of_a_study_changes_and_no_other(web: Web) -> None:
    before = web.get(uid_path(STUDY, CT, f"{CT}.7"), ONE_AS_STORED).content
    operation = patched(
        web, uid_path(STUDY), DESCRIPTION, {"op": "replace", "path": "/00100020/Value/0", "value": "new"}
    )
    assert counts(operation) == (40, 0)
    package = "google.cloud.healthcare.v1beta1.dicomweb"
    assert operation["metadata"]["apiMethodName"] == f"{package}.DicomWebService.UpdateStudyMetadata"
    assert operation["response"] == {"@type": f"type.googleapis.com/{package}.UpdateStudyMetadataResponse"}
    assert values_of(web, uid_path(STUDY), "00081030") == {"New knee"}
    assert values_of(web, uid_path("1.2.2"), "00081030") == {"Old hip"}
    made = pydicom.dcmread(BytesIO(web.get(uid_path(STUDY, CT, f"{CT}.7"), ONE_AS_STORED).content))
    assert (made.StudyDescription, made.PatientID) == ("New knee", "new")
    made.StudyDescription, made.PatientID = "Old hip", "old"
    assert made == pydicom.dcmread(BytesIO(before))


def test_searches_find_what_is_there_now(web: Web) -> None:
    """§10.4: by term, text, date and modality; what was there before is found by nothing any more."""
    changes = (
        DESCRIPTION,
        {"op": "add", "path": "/00100010", "value": {"vr": "PN", "Value": [{"Alphabetic": "Roe^Jane"}]}},
        {"op": "add", "path": "/00080020", "value": {"vr": "DA", "Value": ["20300505"]}},
        {"op": "add", "path": "/00080060", "value": {"vr": "CS", "Value": ["PT"]}},
    )
    assert counts(patched(web, uid_path(STUDY), *changes)) == (40, 0)
    for wanted in (
        {"PatientName": "Roe^Jane"},
        {"PatientName": "roe", "fuzzymatching": "true"},
        {"StudyDescription": "*knee*"},
        {"StudyDate": "20300505"},
        {"ModalitiesInStudy": "PT"},
        {"ModalitiesInStudy": "PT", "StudyDate": "20300101-"},
    ):
        (found,) = web.search("studies", **wanted)
        assert (value(found, "0020000D"), found["00080061"]["Value"]) == (STUDY, ["PT"]), wanted
        assert value(found, "00201208") == 40
    for gone in ({"StudyDate": "20240101"}, {"ModalitiesInStudy": "CT"}, {"ModalitiesInStudy": "MR"}):
        assert web.search("studies", **gone) == []
    for shared in ({"PatientName": "Doe^John"}, {"StudyDescription": "*hip*"}):
        assert [value(found, "0020000D") for found in web.search("studies", **shared)] == ["1.2.2"]
    assert {value(found, "00080060") for found in web.search(f"studies/{STUDY}/series")} == {"PT"}


def test_a_series_changes_and_the_study_keeps_its_own(web: Web) -> None:
    name = {"op": "add", "path": "/0008103E", "value": {"vr": "LO", "Value": ["Sagittal"]}}
    operation = patched(web, uid_path(STUDY, MR), name)
    assert counts(operation) == (5, 0)
    assert operation["metadata"]["apiMethodName"].endswith("UpdateSeriesMetadata")
    (found,) = web.search("series", SeriesDescription="Sagittal", StudyInstanceUID=STUDY)
    assert value(found, "0020000E") == MR
    assert not any("0008103E" in each for each in web.metadata(uid_path(STUDY, CT)))


def test_what_the_patch_does_not_fit_fails_and_stays_and_the_others_change(web: Web) -> None:
    """RFC 6902 §4.6: a test that fails; all operations of an instance or none."""
    changed = {"op": "replace", "path": "/00200013/Value/0", "value": 99}
    operation = patched(
        web, uid_path(STUDY, MR), changed, {"op": "test", "path": "/00080018/Value/0", "value": f"{MR}.3"}
    )
    assert counts(operation) == (1, 4)
    failures = web.gantry.failures(operation)
    assert set(failures) == {uid_path(STUDY, MR, f"{MR}.{number}") for number in (0, 1, 2, 4)}
    assert all("operation 2" in status["message"] for status in failures.values())
    numbers = {value(each, "00080018"): value(each, "00200013") for each in web.metadata(uid_path(STUDY, MR))}
    assert numbers == {f"{MR}.{number}": 99 if number == 3 else number for number in range(5)}


def test_counters_and_storage_classes_are_as_before(web: Web, gantry: Gantry) -> None:
    body = {"blobStorageSettings": {"blobStorageClass": "NEARLINE"}}
    address = f"v1beta1/{gantry.store}/dicomWeb/{uid_path(STUDY, MR)}:setBlobStorageSettings"
    gantry.wait(gantry.call("POST", address, json=body)["name"])
    long = {"op": "add", "path": "/00104000", "value": {"vr": "LT", "Value": ["x" * 3000]}}
    assert counts(patched(web, uid_path(STUDY), long)) == (40, 0)
    info = gantry.call("GET", f"v1/{gantry.store}/dicomWeb/{uid_path(STUDY, MR, f'{MR}.2')}:getStorageInfo")
    assert info["blobStorageInfo"]["storageClass"] == "NEARLINE"
    stored = {key: data for key, data in gantry.stored().items() if key.startswith(f"{STUDY}/")}
    assert len(stored) == 40 and all(b"x" * 3000 in data for data in stored.values())
    metrics = gantry.call("GET", f"v1/{gantry.store}/dicomWeb/studies/{STUDY}:getStudyMetrics")
    assert metrics["instanceCount"] == "40"
    assert metrics["blobStorageSizeBytes"] == str(sum(map(len, stored.values())))


def test_a_patch_that_changes_nothing_writes_nothing(web: Web) -> None:
    path = f"{uid_path(STUDY)}/metadata"
    etag = web.get(path).headers["etag"]
    assert counts(patched(web, uid_path(STUDY), {"op": "test", "path": "/00100020/Value/0", "value": "old"})) == (40, 0)
    assert web.get(path).headers["etag"] == etag


@pytest.mark.parametrize(
    "wrong", [{"op": "jump", "path": "/1"}, {"op": "add", "path": "/1"}, {"op": "remove", "path": "1"}, 3]
)
def test_what_is_no_patch_starts_no_operation(web: Web, wrong: Any) -> None:
    refused(patch(web, uid_path(STUDY), DESCRIPTION, wrong), "INVALID_ARGUMENT", "operation 2")
    assert web.gantry.operations() == []


def test_what_is_not_there_starts_no_operation(web: Web) -> None:
    refused(patch(web, uid_path("9.9"), DESCRIPTION), "NOT_FOUND", "does not exist")
    refused(patch(web, uid_path(STUDY, "9.9"), DESCRIPTION), "NOT_FOUND", "does not exist")
    assert web.gantry.operations() == []


def test_uids_cannot_be_changed(web: Web) -> None:
    operation = patched(web, uid_path(STUDY, MR), {"op": "replace", "path": "/0020000D/Value/0", "value": "1.9"})
    assert counts(operation) == (0, 5)
    assert len(web.metadata(uid_path(STUDY, MR))) == 5
