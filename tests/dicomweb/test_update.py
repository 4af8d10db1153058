"""v1beta1: PUT replaces or creates instances (spec §10.2.11)."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.blobs import find_blobs
from tests.support.gantry import Gantry
from tests.support.web import JSON, ONE_AS_STORED, Web, multipart, uid_path, value, values

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2")
OTHER = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
STORED, FAILED = "00081199", "00081198"


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry, "v1beta1")
    made.stored(instance(A, PatientID="old", Modality="CT"), instance(B, PatientID="old", Modality="CT"))
    return made


def test_what_is_there_is_replaced_and_what_is_not_is_made(web: Web) -> None:
    new = instance(A, PatientID="new", Modality="CT", InstanceNumber=5)
    response = web.store(new, instance(OTHER), method="PUT")
    assert response.status_code == 200
    assert len(values(response.json(), STORED)) == 2
    assert web.get(uid_path(*A), ONE_AS_STORED).content == new
    assert value(web.metadata(uid_path(*A))[0], "00100020") == "new"
    assert len(web.search("instances")) == 3
    assert value(web.search("instances", InstanceNumber="5")[0], "00080018") == A[2]


def test_what_clients_remember_of_it_is_out_of_date(web: Web) -> None:
    """RFC 9110 §13.1.2: the same UIDs, other content."""
    paths = (f"{uid_path(*A)}/metadata", f"studies/{A[0]}/metadata", f"{uid_path(*A)}/rendered")
    before = [web.get(path).headers["etag"] for path in paths]
    web.store(instance(A, PatientID="new", Modality="CT"), method="PUT")
    for path, etag in zip(paths, before, strict=True):
        assert web.get(path, headers={"if-none-match": etag}).status_code == 200


def blobs(web: Web) -> set[bytes]:
    """The bytes of every blob on the disk of the server; the sweeper may be at work."""
    found = set()
    for blob in find_blobs(web.gantry.server.data / "blobs").values():
        with suppress(FileNotFoundError):
            found.add(blob.read())
    return found


@pytest.mark.slow
@pytest.mark.one_process("looks into the data directory")
def test_the_bytes_before_are_gone(web: Web) -> None:
    """Their blob is given up in the same transaction. The server has other tests' blobs as well."""
    old, new = (instance(OTHER, PatientID=f"{when} of {web.gantry.dataset_id}") for when in ("old", "new"))
    web.stored(old)
    assert {old} == blobs(web) & {old, new}
    assert web.store(new, method="PUT").status_code == 200
    web.gantry.server.wait_until(lambda: {new} == blobs(web) & {old, new})


def test_a_study_that_is_replaced_as_a_whole_is_found_by_what_it_is_now(web: Web) -> None:
    web.store(instance(OTHER, PatientID="first", PatientName="First"), method="PUT")
    web.store(instance(OTHER, PatientID="second", PatientName="Second"), method="PUT")
    assert web.search("studies", PatientID="first") == []
    assert web.search("studies", PatientName="first") == []
    (found,) = web.search("studies", PatientName="second")
    assert (value(found, "00100020"), value(found, "00201208")) == ("second", 1)


def test_counters_stay_those_of_what_is_there(web: Web) -> None:
    web.store(instance(A, PixelData=bytes(1000)), method="PUT")
    store = web.root.removesuffix("/dicomWeb")
    metrics = web.gantry.call("GET", f"{store}:getDICOMStoreMetrics")
    assert (metrics["studyCount"], metrics["seriesCount"], metrics["instanceCount"]) == ("1", "1", "2")
    sizes = [len(web.get(uid_path(*uids), ONE_AS_STORED).content) for uids in (A, B)]
    assert metrics["blobStorageSizeBytes"] == str(sum(sizes))


def test_twice_in_one_request_is_refused_once(web: Web) -> None:
    response = web.store(instance(A, PatientID="1"), instance(A, PatientID="2"), method="PUT")
    assert response.status_code == 409
    assert [len(values(response.json(), tag)) for tag in (STORED, FAILED)] == [1, 1]


def test_a_study_in_the_address(web: Web) -> None:
    response = web.store(instance(A), instance(OTHER), study=A[0], method="PUT")
    assert response.status_code == 409
    assert "the address says" in response.text


def test_what_is_broken_replaces_nothing(web: Web) -> None:
    response = web.store(instance(A, PatientID="new")[:-2], method="PUT")
    assert response.status_code == 409
    assert value(web.metadata(uid_path(*A))[0], "00100020") == "old"


def test_no_json(web: Web) -> None:
    """§10.2.11"""
    content_type, body = multipart([b"[]"], JSON)
    headers = {"content-type": content_type}
    response = web.gantry.request("PUT", f"{web.root}/studies", content=body, headers=headers)
    refused(response, "INVALID_ARGUMENT", JSON, http=415)


def test_not_in_v1(gantry: Gantry) -> None:
    response = Web(gantry).store(instance(A), method="PUT")
    refused(response, "UNIMPLEMENTED", "no such method", http=405)
