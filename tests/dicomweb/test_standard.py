"""Requirements of PS3.18 that no other test holds; docs/conformance-requirements.md names the test of each."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pydicom
import pytest

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import JSON, ONE_AS_STORED, Web, parts_of, uid_path, value, values

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.2", "1.2.1.2.1")
ONE = uid_path(*A)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(
        instance(A, PatientID="P1", Modality="CT", StudyDate="20240105", StudyTime="101530"),
        instance(B, PatientID="P1", Modality="MR", StudyDate="20240105", StudyTime="101530"),
    )
    return made


# What a client accepts (§8.3.3.1, §8.4.1, §8.7) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "asked", "header", "expected"),
    [
        (f"{ONE}/rendered", "image/jp2", "image/png", "image/png"),
        (f"{ONE}/rendered", "image/jp2", "image/avif, */*;q=0.8", "image/jpeg"),
        (f"{ONE}/thumbnail", "text/html", "image/png", "image/png"),
        (f"{ONE}/metadata", "text/html", JSON, JSON),
        ("studies", "text/html", JSON, JSON),
        (ONE, "image/png", "application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
        (f"{ONE}/frames/1", "text/html", "image/jls", "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"),
        (f"{ONE}/bulkdata/7FE00010", "text/html", "application/octet-stream", "application/octet-stream"),
    ],
)
def test_where_the_query_accepts_nothing_that_there_is_the_header_counts(
    web: Web, path: str, asked: str, header: str, expected: str
) -> None:
    """PS3.18 §8.7.8.1, step 3."""
    response = web.get(path, header, params={"accept": asked})
    assert (response.status_code, response.headers["content-type"]) == (200, expected), response.text
    assert web.get(path, "text/css", params={"accept": asked}).status_code == 406


def test_a_study_comes_by_the_header_where_the_query_accepts_nothing_that_there_is(web: Web) -> None:
    header = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    found = parts_of(web.get(uid_path(A[0]), header, params={"accept": "image/png"}))
    assert len(found) == 2


@pytest.mark.parametrize(("asked", "kind"), [("text/html", JSON), ("application/dicom+xml", "application/dicom+xml")])
def test_the_answer_of_a_store_request_by_the_query(web: Web, asked: str, kind: str) -> None:
    headers = {"content-type": "application/dicom", "accept": JSON}
    body = instance((*A[:2], "1.2.1.1.2"))
    response = web.gantry.request("POST", f"{web.root}/studies?accept={asked}", content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize("written", ["application/dicom+xml", "application/dicom%2Bxml", "application%2Fdicom+xml"])
def test_a_plus_in_the_query_may_be_written_as_it_is(web: Web, written: str) -> None:
    """A ``+`` is a character of values in PS3.18 §8.3.1; forms of web pages write a blank so."""
    response = web.gantry.request("GET", f'{web.root}/studies?accept=multipart/related;type="{written}",text/html;q=.1')
    assert [part.type for part in parts_of(response)] == ["application/dicom+xml"]


# Searches (§8.3.4) ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["emptyvaluematching", "multiplevaluematching"])
@pytest.mark.parametrize("path", ["studies", "series", "instances", f"{uid_path(A[0])}/instances"])
def test_kinds_of_matching_that_are_not_there_are_named_in_a_warning(web: Web, path: str, name: str) -> None:
    """PS3.18 §8.3.4.5, §8.3.4.6: the search is performed without."""
    plain = web.get(path, JSON, params={"StudyInstanceUID": A[0]})
    asked = web.get(path, JSON, params={"StudyInstanceUID": A[0], name: "true"})
    assert asked.status_code == 200 and asked.json() == plain.json()
    assert asked.headers["warning"].startswith(f'299 gantry "The {name} parameter is not supported')
    other = web.get(path, JSON, params={"StudyInstanceUID": A[0], name: "false"})
    assert other.json() == plain.json() and "warning" not in other.headers
    refused(web.get(path, params={name: "maybe"}), "INVALID_ARGUMENT", name)


def test_a_warning_comes_with_others_and_without_results(web: Web) -> None:
    more = {"emptyvaluematching": "true", "multiplevaluematching": "TRUE"}
    response = web.get("instances", JSON, params={"limit": 1, **more})
    first, second, third = response.headers["warning"].split(", 299 ")
    assert "emptyvaluematching" in first and "multiplevaluematching" in second and "additional results" in third
    nothing = web.get("instances", JSON, params={"PatientID": "nobody", **more})
    assert nothing.status_code == 204 and nothing.headers["warning"].count("299 gantry") == 2


# Instances as JSON alone (§10.5.1.4, Table 10.5.4-1) ------------------------------------------------------------------


def as_json(name: str) -> tuple[Any, dict[str, Any]]:
    """A file without bulk data, and its DICOM JSON object as Google wants it."""
    ds = pydicom.dcmread(BytesIO(packaged(name)))
    found = json.loads(ds.to_json())
    found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    found["00020010"] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}
    return ds, found


def post_json(web: Web, found: Any) -> Any:
    headers = {"content-type": f"{JSON}; charset=utf-8", "accept": JSON}
    return web.gantry.request("POST", f"{web.root}/studies", content=json.dumps(found).encode(), headers=headers)


def test_json_without_bulk_data_needs_no_parts(web: Web) -> None:
    ds, found = as_json("test-SR.dcm")
    response = post_json(web, [found, {**found, "00080018": {"vr": "UI", "Value": ["1.2.9"]}}])
    assert response.status_code == 200, response.text
    assert len(values(response.json(), "00081199")) == 2
    stored = web.get(uid_path(*uids_of(packaged("test-SR.dcm"))), ONE_AS_STORED).content
    assert pydicom.dcmread(BytesIO(stored)).ContentSequence == ds.ContentSequence


def test_json_alone_that_names_bulk_data_fails(web: Web) -> None:
    _, found = as_json("test-SR.dcm")
    found["00420011"] = {"vr": "OB", "BulkDataURI": "pixels"}
    response = post_json(web, found)
    assert response.status_code == 409
    (failed,) = values(response.json(), "00081198")
    assert "no part has the Content-Location 'pixels'" in value(failed, "00091097")


@pytest.mark.parametrize("body", [b"", b"[", b"{}x"])
def test_a_body_that_is_no_json(web: Web, body: bytes) -> None:
    response = web.gantry.request("POST", f"{web.root}/studies", content=body, headers={"content-type": JSON})
    refused(response, "INVALID_ARGUMENT", "JSON")
