"""Every PowerShell request of the how-to pages, with the bytes that PowerShell puts on the wire (§17.1 to §17.3)."""

from __future__ import annotations

import codecs

import httpx
import pytest

from tests.pages import samples
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import counts

# How Out-File -Encoding utf8 writes a file: Windows PowerShell 5.1, PowerShell 7 on Windows, PowerShell 7 elsewhere.
FILE_STYLES = {"5.1": (codecs.BOM_UTF8, "\r\n"), "7 on Windows": (b"", "\r\n"), "7": (b"", "\n")}


def post(gantry: Gantry, path: str, body: bytes, content_type: str) -> httpx.Response:
    headers = {
        "authorization": "Bearer ya29.token",
        "content-type": content_type,
        "user-agent": "WindowsPowerShell/5.1",
    }
    return gantry.request("POST", path, content=body, headers=headers)


def started(gantry: Gantry, response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    answer = response.json()
    assert answer.keys() == {"name"}
    assert answer["name"].startswith(f"{gantry.dataset}/operations/")
    return answer["name"]


@pytest.mark.parametrize("style", FILE_STYLES)
@pytest.mark.parametrize(
    ("text", "version"),
    [(samples.POWERSHELL_IMPORT_FILE, "v1"), (samples.POWERSHELL_IMPORT_FILE_WITH_STORAGE_CLASS, "v1beta1")],
    ids=["plain", "with a storage class"],
)
def test_import_from_a_request_file(gantry: Gantry, text: str, version: str, style: str) -> None:
    gantry.put(gantry.bucket, "path/to/file.dcm", make_instance())
    mark, end = FILE_STYLES[style]
    names = {"BUCKET/PATH/TO/FILE": f"{gantry.bucket}/path/to/file", "STORAGE_CLASS": "NEARLINE"}
    body = mark + samples.fill(text, gantry, **names).replace("\n", end).encode()
    name = started(gantry, post(gantry, f"{version}/{gantry.store}:import", body, "application/json"))
    operation = gantry.wait(name)
    assert counts(operation) == (1, 0)
    assert operation["metadata"]["@type"] == f"type.googleapis.com/google.cloud.healthcare.{version}.OperationMetadata"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_import_of_a_wildcard(gantry: Gantry, end: str) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance())
    body = samples.fill(samples.POWERSHELL_IMPORT, gantry, BUCKET=gantry.bucket).replace("\n", end).encode()
    name = started(gantry, post(gantry, f"v1/{gantry.store}:import", body, "application/json; charset=utf-8"))
    assert counts(gantry.wait(name)) == (1, 0)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_export(gantry: Gantry, end: str) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    gantry.import_("a.dcm")
    names = {"BUCKET/DIRECTORY": f"{gantry.out}/directory"}
    body = samples.fill(samples.POWERSHELL_EXPORT, gantry, **names).replace("\n", end).encode()
    name = started(gantry, post(gantry, f"v1/{gantry.store}:export", body, "application/json; charset=utf-8"))
    assert counts(gantry.wait(name)) == (1, 0)
    assert gantry.objects(gantry.out).keys() == {"directory/1.2/1.3/1.4.dcm"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_export_with_a_filter_lacks_a_brace_and_is_refused(gantry: Gantry, end: str) -> None:
    """§1.9, §17.3: no guess at what was meant, and no operation."""
    names = {
        "BUCKET/DIRECTORY/FILTER_FILE": f"{gantry.bucket}/filter.txt",
        "BUCKET/DIRECTORY": f"{gantry.out}/directory",
    }
    body = samples.fill(samples.POWERSHELL_EXPORT_WITH_FILTER, gantry, **names).replace("\n", end).encode()
    response = post(gantry, f"v1beta1/{gantry.store}:export", body, "application/json; charset=utf-8")
    refused(response, "INVALID_ARGUMENT", "JSON")
    assert gantry.operations() == []


def test_the_same_with_its_brace_is_accepted(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "filter.txt", samples.FILTER_FILE.encode())
    names = {"BUCKET/DIRECTORY/FILTER_FILE": f"{gantry.bucket}/filter.txt", "BUCKET/DIRECTORY": gantry.out}
    body = samples.fill(samples.POWERSHELL_EXPORT_WITH_FILTER, gantry, **names).encode() + b"}"
    name = started(gantry, post(gantry, f"v1beta1/{gantry.store}:export", body, "application/json; charset=utf-8"))
    assert "response" in gantry.wait(name)
