"""What every answer says of itself: who may keep it, and that no browser runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gantry.api.attachments import attachment_header
from tests.dicomweb.instances import instance
from tests.support.access import ADMIN, Guarded
from tests.support.gantry import Gantry
from tests.support.raw import RawConnection
from tests.support.web import Web

UIDS = ("1.2", "1.3", "1.4")
ONE = "studies/1.2/series/1.3/instances/1.4"
HTML = b"<script>alert(1)</script>" * 200
DICOM_JSON = "application/dicom+json"
DATA = [
    ("studies", DICOM_JSON),
    ("studies/1.2/metadata", DICOM_JSON),
    ("studies/1.2", 'multipart/related; type="application/dicom"'),
    (ONE, "application/dicom"),
    (f"{ONE}/frames/1", "application/octet-stream"),
    (f"{ONE}/bulkdata/00420011", "application/octet-stream"),
    (f"{ONE}/bulkdata/00420011", "text/html,*/*;q=0.1"),
    (f"{ONE}/rendered", "image/png"),
    (f"{ONE}/thumbnail", "image/jpeg"),
    ("studies/1.9/metadata", DICOM_JSON),
    ("nothing", "*/*"),
]
MISSING = ("studies/1.9/metadata", "nothing")


@pytest.fixture
def filled(gantry: Gantry) -> Gantry:
    Web(gantry).stored(instance(UIDS, EncapsulatedDocument=HTML, MIMETypeOfEncapsulatedDocument="text/html"))
    return gantry


def words(answer: httpx.Response, name: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers.get(name, "").split(",")}


OF_PROXY = pytest.mark.one_process("the proxy answers that itself")


@pytest.mark.parametrize(("path", "accept"), DATA)
@pytest.mark.parametrize("verb", ["GET", "DELETE", "PUT"])
def test_nobody_keeps_data_for_others(filled: Gantry, verb: str, path: str, accept: str) -> None:
    answer = filled.request(verb, f"v1/{filled.store}/dicomWeb/{path}", headers={"accept": accept})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in words(answer, "cache-control") and words(answer, "cache-control") & {"no-store", "no-cache"}
    assert ("etag" in answer.headers) == ("no-cache" in words(answer, "cache-control"))
    assert "accept" in words(answer, "vary")
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(("path", "accept"), DATA)
def test_no_browser_runs_what_somebody_has_stored(filled: Gantry, path: str, accept: str) -> None:
    answer = filled.request("GET", f"v1/{filled.store}/dicomWeb/{path}", headers={"accept": accept})
    kind = answer.headers["content-type"].partition(";")[0]
    assert answer.status_code == (404 if path in MISSING else 200) and kind
    assert not any(word in kind for word in ("html", "svg", "xml", "script", "css", "pdf")), kind


@pytest.mark.parametrize(
    ("path", "accept"), [item for item in DATA if item[0].startswith(ONE) and "html" not in item[1]]
)
def test_what_is_kept_is_asked_for_again(filled: Gantry, path: str, accept: str) -> None:
    address = f"v1/{filled.store}/dicomWeb/{path}"
    first = filled.request("GET", address, headers={"accept": accept})
    again = filled.request("GET", address, headers={"accept": accept, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("cache-control", "vary", "etag", "x-content-type-options"):
        assert again.headers[name] == first.headers[name]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "healthz",
            "readyz",
            pytest.param("metrics", marks=OF_PROXY),
            "console/",
            "console/nothing",
            "sign-in",
            "viewer/",
            "viewer/x.js",
            "none",
        ),
        *(
            "static/x/gantry.css",
            "static/x/none",
            "$discovery/rest?version=v1",
            "v1/",
            pytest.param("v1/%00", marks=OF_PROXY),
            "v2/entries:list",
            "a//b",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "OPTIONS"])
def test_every_answer_says_that_its_type_counts(gantry: Gantry, verb: str, path: str) -> None:
    answer = gantry.request(verb, path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "cache-control" in answer.headers and "content-security-policy" in answer.headers


@OF_PROXY
def test_what_is_no_request_is_answered_in_the_shape_of_the_api(gantry: Gantry) -> None:
    with RawConnection(gantry.server) as connection:
        connection.send(b"this is no HTTP\r\n\r\n")
        head, _, body = connection.receive().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error"]["status"] == "INVALID_ARGUMENT"


def test_xml_is_saved_and_not_shown(gantry: Gantry) -> None:
    """A form of another site can make a browser show the answer to a POST."""
    answer = Web(gantry).store(instance(UIDS), accept="application/dicom+xml")
    assert answer.headers["content-type"].startswith("application/dicom+xml")
    assert answer.headers["content-disposition"] == "attachment"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    made = Guarded(tmp_path)
    yield made
    made.server.stop()


def test_answers_to_people_depend_on_who_they_are(guarded: Guarded) -> None:
    for who, path in ((ADMIN, "v1/projects/p/locations"), ("", "v1/projects/p/locations"), (ADMIN, "console/")):
        answer = guarded.request(who, "GET", path)
        assert {"accept", "authorization", "cookie"} <= words(answer, "vary")
    (style,) = set(re.findall(r"static/[^/]+/gantry\.css", guarded.request(ADMIN, "GET", "console/").text))
    assert "cookie" not in words(guarded.request("", "GET", style), "vary")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("1.2.zip", 'attachment; filename="1.2.zip"'),
        ('a"; x="b', "attachment; filename=\"a__ x__b\"; filename*=UTF-8''a%22%3B%20x%3D%22b"),
        ("é.dcm", "attachment; filename=\"_.dcm\"; filename*=UTF-8''%C3%A9.dcm"),
        ("a\r\nb\\", "attachment; filename=\"a__b_\"; filename*=UTF-8''a%0D%0Ab%5C"),
    ],
)
def test_no_name_ends_its_header(name: str, header: str) -> None:
    assert attachment_header(name) == header
    assert header.isascii() and header.isprintable()
