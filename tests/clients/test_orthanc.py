"""Orthanc as a client: its DICOMweb plugin sends, searches and retrieves (Debian: orthanc, orthanc-dicomweb)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.gantry import Gantry
from tests.support.orthanc import run_orthanc
from tests.support.web import Web, uid_path, value

FILES = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_small_odd.dcm")


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry)


@pytest.fixture
def orthanc(web: Web, tmp_path: Path) -> Iterator[httpx.Client]:
    servers = {"gantry": {"Url": f"{web.url}/", "HasDelete": True}}
    with run_orthanc(tmp_path, DicomWeb={"Enable": True, "Servers": servers}) as client:
        yield client


@pytest.mark.slow
def test_it_sends_searches_and_retrieves(orthanc: httpx.Client, web: Web) -> None:
    files = [packaged(name) for name in FILES]
    files += [instance(("1.2.5", "1.2.5.1", f"1.2.5.1.{number}")) for number in range(20)]
    ids = [orthanc.post("/instances", content=data).raise_for_status().json()["ID"] for data in files]
    sent = orthanc.post("/dicom-web/servers/gantry/stow", json={"Resources": ids})
    assert sent.status_code == 200, sent.text
    for data, each in zip(files, ids, strict=True):
        stored = web.get(uid_path(*uids_of(data)), "application/dicom; transfer-syntax=*")
        assert stored.status_code == 200 and stored.content == orthanc.get(f"/instances/{each}/file").content

    asked = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": "1.2.5"}}
    found = orthanc.post("/dicom-web/servers/gantry/qido", json=asked).raise_for_status().json()
    assert len(found) == 1 and "1.2.5" in json.dumps(found)

    for each in ids:
        orthanc.delete(f"/instances/{each}").raise_for_status()
    assert orthanc.get("/instances").json() == []
    resources = [{"Study": uids_of(data)[0]} for data in files]
    unique = list({item["Study"]: item for item in resources}.values())
    orthanc.post("/dicom-web/servers/gantry/retrieve", json={"Resources": unique}).raise_for_status()
    assert len(orthanc.get("/instances").json()) == len(files)


@pytest.mark.slow
def test_it_sends_again_where_the_store_accepts_that(orthanc: httpx.Client, web: Web) -> None:
    store = web.root.removesuffix("/dicomWeb")
    web.gantry.call("PATCH", f"{store}?updateMask=labels", json={"labels": {"gantry-identical": "accept"}})
    ids = [orthanc.post("/instances", content=packaged("CT_small.dcm")).raise_for_status().json()["ID"]]
    for _ in range(2):
        sent = orthanc.post("/dicom-web/servers/gantry/stow", json={"Resources": ids})
        assert sent.status_code == 200, sent.text
    (study,) = web.search("studies")
    assert value(study, "00201208") == 1
