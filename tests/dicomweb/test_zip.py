"""A study or series as a ZIP archive: ``Accept: application/zip`` (our addition)."""

from __future__ import annotations

import io
import zipfile

import pydicom
import pytest

from tests.dicomweb.instances import IMPLICIT_LE, instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import Web, uid_path

A, B, C = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2"), ("1.2.1", "1.2.1.2", "1.2.1.2.1")
ZIP = "application/zip"


@pytest.fixture
def web(gantry: Gantry) -> Web:
    web = Web(gantry)
    web.stored(*map(instance, (A, B, C)))
    return web


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(("path", "uids"), [("studies/1.2.1", (A, B, C)), ("studies/1.2.1/series/1.2.1.1", (A, B))])
@pytest.mark.parametrize("accept", [ZIP, f"{ZIP}; transfer-syntax=*", f"text/plain, {ZIP};q=0.5", "application/*"])
def test_the_files_as_they_are_stored(web: Web, path: str, uids: tuple[tuple[str, ...], ...], accept: str) -> None:
    response = web.get(path, accept)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ZIP
    last = path.rpartition("/")[2]
    assert response.headers["content-disposition"] == f'attachment; filename="{last}.zip"'
    assert entries(response.content) == {"/".join(each) + ".dcm": instance(each) for each in uids}


def test_the_query_may_ask_for_it(web: Web) -> None:
    """PS3.18 §8.3.3.1"""
    response = web.gantry.request("GET", f"{web.root}/studies/1.2.1?accept={ZIP}")
    assert len(entries(response.content)) == 3


def test_those_who_read_it_as_it_comes_can_tell_its_entries_apart(web: Web) -> None:
    """Deflated entries end by themselves, stored ones do not; sizes behind them are 64 bits wide."""
    data = web.get("studies/1.2.1", ZIP).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.infolist()) == 3
        for entry in archive.infolist():
            assert (entry.compress_type, entry.flag_bits & 8) == (zipfile.ZIP_DEFLATED, 8)
            assert entry.extract_version == 45, "ZIP64"


@pytest.mark.parametrize("accept", ["*/*", f'multipart/related; type="application/dicom", {ZIP};q=0.9'])
def test_parts_come_first(web: Web, accept: str) -> None:
    assert web.get("studies/1.2.1", accept).headers["content-type"].startswith("multipart/related")


def test_what_is_not_there_is_not_found(web: Web) -> None:
    refused(web.get("studies/9.9", ZIP), "NOT_FOUND")
    refused(web.get("studies/1.2.1/series/9", ZIP), "NOT_FOUND")


@pytest.mark.parametrize("accept", [f"{ZIP}; transfer-syntax=1.2.3", "application/x-zip"])
@pytest.mark.parametrize("path", ["studies/1.2.1", uid_path(*A)])
def test_other_forms_are_not_to_be_had(web: Web, path: str, accept: str) -> None:
    response = web.get(path, accept)
    assert response.status_code == 406
    assert ZIP in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["studies/1.2.1", "studies/1.2.1/series/1.2.1.1", uid_path(*A)])
def test_the_transfer_syntax_that_is_asked_for(web: Web, path: str) -> None:
    """PS3.18 §8.7.3.5"""
    response = web.get(path, f"{ZIP}; transfer-syntax={IMPLICIT_LE}")
    assert response.status_code == 200, response.text
    found = entries(response.content)
    assert "/".join(A) + ".dcm" in found
    for name, data in found.items():
        ds = pydicom.dcmread(io.BytesIO(data))
        assert ds.file_meta.TransferSyntaxUID == IMPLICIT_LE and name.endswith(f"/{ds.SOPInstanceUID}.dcm")


def test_an_instance_alone(web: Web) -> None:
    for accept in (ZIP, f"{ZIP}; transfer-syntax=*"):
        response = web.get(uid_path(*A), accept)
        assert response.headers["content-disposition"] == f'attachment; filename="{A[2]}.zip"'
        assert entries(response.content) == {"/".join(A) + ".dcm": instance(A)}
    assert web.get(uid_path(*A), f"application/dicom;q=0.9, {ZIP};q=0.5").headers["content-type"] != ZIP


def test_what_cannot_be_made_is_said(web: Web) -> None:
    """A study whose other instances can be: with a Warning, as in parts."""
    odd = ("1.2.1", "1.2.1.3", "1.2.1.3.1")
    web.stored(instance(odd, "1.2.840.10008.1.2.4.100", PixelData=None))
    response = web.get("studies/1.2.1", f"{ZIP}; transfer-syntax={IMPLICIT_LE}")
    assert len(entries(response.content)) == 3 and odd[2] in response.headers["warning"]
    assert web.get(uid_path(*odd), f"{ZIP}; transfer-syntax={IMPLICIT_LE}").status_code == 406
    assert len(entries(web.get("studies/1.2.1", ZIP).content)) == 4


@pytest.mark.slow
def test_a_strict_server_has_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("strict")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_STRICT_SEARCH": "1"})
    try:
        web = Web(Gantry(server))
        web.stored(instance(A))
        assert web.get("studies/1.2.1", ZIP).status_code == 406
    finally:
        server.stop()
