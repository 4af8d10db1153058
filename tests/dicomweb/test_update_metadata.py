"""v1beta1: PATCH of an instance's metadata by JSON Patch (RFC 6902; spec §10.2.11)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import httpx
import pydicom
import pytest

from gantry.dicom.elements import MAX_DEPTH
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.datasets import EXPLICIT_UID, IMPLICIT_UID, REQUESTS, dataset, nested, part10
from tests.support.gantry import Gantry
from tests.support.plain_reader import EXPLICIT, IMPLICIT, Encoding, read_file
from tests.support.web import ONE_AS_STORED, Web, uid_path, value

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
PATIENT, NAME = "00100020", "00100010"


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry, "v1beta1")
    made.stored(instance(A, PatientID="old", PatientName="Old^Name", charset="ISO_IR 100"))
    return made


def patch(web: Web, *operations: Any, uids: tuple[str, str, str] = A) -> httpx.Response:
    return web.gantry.request("PATCH", f"{web.root}/{uid_path(*uids)}/metadata", json=list(operations))


def replace(path: str, new: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": new}


def read(web: Web, uids: tuple[str, str, str] = A) -> Any:
    return pydicom.dcmread(BytesIO(web.get(uid_path(*uids), ONE_AS_STORED).content))


def test_attributes_change_and_everything_else_stays(web: Web) -> None:
    before = read(web)
    response = patch(web, replace(f"/{PATIENT}/Value/0", "new"), {"op": "remove", "path": "/00080060"})
    assert (response.status_code, response.json()) == (200, {})
    after = read(web)
    assert after.PatientID == "new" and "Modality" not in after
    after.PatientID, after.Modality = before.PatientID, before.Modality
    assert after == before
    assert web.search("studies", PatientID="old") == []
    assert len(web.search("studies", PatientID="new")) == 1


def test_text_that_the_character_set_has(web: Web) -> None:
    """PS3.5 §6.1"""
    assert patch(web, replace(f"/{NAME}/Value/0", {"Alphabetic": "Müller^Jürgen"})).status_code == 200
    assert str(read(web).PatientName) == "Müller^Jürgen"


def test_text_that_it_does_not_have_is_never_garbled(web: Web) -> None:
    response = patch(web, replace(f"/{NAME}/Value/0", {"Alphabetic": "山田"}))
    if response.status_code == 200:
        assert str(read(web).PatientName) == "山田"
    else:
        assert response.status_code == 400
        assert str(read(web).PatientName) == "Old^Name"


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm", "waveform_ecg.dcm", "rtplan.dcm"]
)
def test_files_of_every_kind(gantry: Gantry, name: str) -> None:
    """Bulk values, top-level and nested, are copied byte for byte."""
    web, data = Web(gantry, "v1beta1"), packaged(name)
    web.stored(data)
    uids = uids_of(data)
    before = read(web, uids)
    add = {"op": "add", "path": "/00204000", "value": {"vr": "LT", "Value": ["seen"]}}
    response = patch(web, add, uids=uids)
    assert response.status_code == 200, response.text
    after = read(web, uids)
    assert after.ImageComments == "seen"
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    before.ImageComments = "seen"
    assert after == before


@pytest.mark.parametrize(
    "operations",
    [
        [replace("/0020000D/Value/0", "1.2.9")],
        [replace("/00080018/Value/0", "1.2.9")],
        [replace("/00080016/Value/0", "1.2.9")],
        [replace("/7FE00010/BulkDataURI", "http://elsewhere")],
        [{"op": "remove", "path": "/7FE00010/BulkDataURI"}],
        [{"op": "add", "path": "/00420011", "value": {"vr": "OB", "BulkDataURI": "http://elsewhere"}}],
        [replace("/00280010/Value/0", 70000)],
        [replace("/99990010/Value/0", "x")],
        [{"op": "test", "path": f"/{PATIENT}/Value/0", "value": "other"}],
        [{"op": "jump", "path": "/"}],
        [replace("", [])],
        ["x"],
    ],
)
def test_patches_that_do_not_fit_change_nothing(web: Web, operations: list[Any]) -> None:
    before = web.get(uid_path(*A), ONE_AS_STORED).content
    response = patch(web, *operations)
    assert response.status_code == 400, response.text
    assert web.get(uid_path(*A), ONE_AS_STORED).content == before


@pytest.mark.parametrize("body", [b"", b"{", b"3", b"{}", b"[" * 3000])
def test_bodies_that_are_no_patch(web: Web, body: bytes) -> None:
    response = web.gantry.request("PATCH", f"{web.root}/{uid_path(*A)}/metadata", content=body)
    assert response.status_code == 400, response.text


def test_an_empty_patch_changes_nothing(web: Web) -> None:
    before = value(web.metadata(uid_path(*A))[0], PATIENT)
    assert patch(web).status_code == 200
    assert value(web.metadata(uid_path(*A))[0], PATIENT) == before


def test_bulk_data_stays_whatever_address_it_was_read_by(web: Web) -> None:
    """Metadata is read by one name of the server and version, and sent back by another."""
    data = instance(A, PatientID="old", EncapsulatedDocument=b"%PDF-1.4" * 1000, MIMETypeOfEncapsulatedDocument="x/y")
    web.gantry.call("DELETE", f"{web.root}/studies/{A[0]}")
    web.stored(data)
    path, port = f"{web.root}/{uid_path(*A)}/metadata", web.gantry.server.port
    for host, version in ((f"localhost:{port}", "v1beta1"), (f"127.0.0.1:{port}", "v1")):
        address = path.replace("v1beta1/", f"{version}/", 1)
        found = web.gantry.request("GET", address, headers={"host": host, "accept": "application/dicom+json"}).json()[0]
        assert found["00420011"]["BulkDataURI"].startswith(f"http://{host}/{version}/")
        found[PATIENT]["Value"] = [host]
        response = web.gantry.request("PATCH", path, json=[replace("", found)])
        assert response.status_code == 200, response.text
        after = read(web)
        assert after.PatientID == host and after.EncapsulatedDocument == b"%PDF-1.4" * 1000
    found["00420011"]["BulkDataURI"] = found["00420011"]["BulkDataURI"].replace("/dicomStores/", "/dicomStores/other")
    refused(web.gantry.request("PATCH", path, json=[replace("", found)]), "INVALID_ARGUMENT", "bulk data")


def test_what_is_not_there(web: Web) -> None:
    refused(patch(web, uids=(*A[:2], "9")), "NOT_FOUND", "does not exist")
    path = f"v1/{web.gantry.store}/dicomWeb/{uid_path(*A)}/metadata"
    refused(web.gantry.request("PATCH", path, json=[]), "UNIMPLEMENTED", "no such method", http=405)


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1, 400])
@pytest.mark.parametrize("encoding, syntax", [(EXPLICIT, EXPLICIT_UID), (IMPLICIT, IMPLICIT_UID)])
def test_sequences_as_deep_as_metadata_shows_them_stay(
    gantry: Gantry, encoding: Encoding, syntax: str, levels: int
) -> None:
    """What lies deeper is bulk data there, and stays too."""
    web, data = Web(gantry, "v1beta1"), part10(dataset([nested(levels, encoding)], encoding), syntax)
    web.stored(data)
    uids = read_file(data).uids
    path = uid_path(*uids)
    response = patch(web, {"op": "add", "path": "/00081030", "value": {"vr": "LO", "Value": ["new"]}}, uids=uids)
    assert response.status_code == 200, response.text
    after = web.get(path, ONE_AS_STORED).content
    assert value(web.metadata(path)[0], "00081030") == "new"
    assert nested(levels, encoding)[1] in after


@pytest.mark.parametrize("levels", [99, 101, MAX_DEPTH])
@pytest.mark.parametrize("encoding, syntax", [(EXPLICIT, EXPLICIT_UID), (IMPLICIT, IMPLICIT_UID)])
def test_what_metadata_show_can_be_patched_at_any_depth(
    gantry: Gantry, encoding: Encoding, syntax: str, levels: int
) -> None:
    web, data = Web(gantry, "v1beta1"), part10(dataset([nested(levels, encoding)], encoding), syntax)
    web.stored(data)
    uids = read_file(data).uids
    place = f"/{REQUESTS:08X}/Value/0" * levels
    response = patch(web, {"op": "replace", "path": f"{place}/00080100/Value/0", "value": "new"}, uids=uids)
    assert response.status_code == 200, response.text
    found = web.metadata(uid_path(*uids))[0]
    for _ in range(levels):
        found = value(found, f"{REQUESTS:08X}")
    assert value(found, "00080100") == "new"
