"""More of what clients send: blanks and NULs of files, port numbers, other levels and methods of what is served."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from gantry.api.origins import Origins
from tests.dicomweb.instances import instance
from tests.dicomweb.reports import report, without_pixels
from tests.support.answers import refused
from tests.support.apart import serve_apart  # noqa: F401
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import JSON, Web, uid_path, value

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.2", "1.2.2.1", "1.2.2.1.1")
PATH = uid_path(*A)


def requested(step: str) -> list[Dataset]:
    item = Dataset()
    item.ScheduledProcedureStepID = step
    return [item]


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    said: dict[str, Any] = {
        "SeriesNumber": "3",
        "InstanceNumber": "7",
        "PatientID": "P 1",
        "StudyDescription": "Left knee",
    }
    said |= {"FrameOfReferenceUID": "1.2.9", "BodyPartExamined": "KNEE", "RequestAttributesSequence": requested("S1")}
    made.stored(instance(A, **said), instance(B))
    return made


def found(web: Web, path: str, **parameters: str) -> list[str]:
    return sorted(value(each, "0020000D") for each in web.search(path, **parameters))


@pytest.mark.parametrize("pattern", ["{} ", " {}", "{}\0", "{}, {}", "{} ,{}", "{},", ",{}", "{}\\ {}", "{}\n"])
@pytest.mark.parametrize(
    ("path", "name", "uid", "other"),
    [
        ("studies", "StudyInstanceUID", A[0], "9.9"),
        ("series", "0020000E", A[1], "9.9"),
        ("instances", "SOPInstanceUID", A[2], "study_1"),
        (f"studies/{A[0]}/instances", "FrameOfReferenceUID", "1.2.9", "9.9"),
        (f"studies/{A[0]}/series/{A[1]}/instances", "SOPInstanceUID", A[2], "x"),
    ],
)
def test_uids_as_they_stand_in_files_and_lists(
    web: Web, path: str, name: str, uid: str, other: str, pattern: str
) -> None:
    """PS3.5 §9.1: a NUL pads them; lists of people and programs have blanks."""
    assert found(web, path, **{name: pattern.format(uid, other)}) == [A[0]]


@pytest.mark.parametrize("text", [",", "1.2.1 1.2.2", "1.2.\0001", "1.2.*", "\\", "1" * 65])
def test_what_is_no_list_of_uids(web: Web, text: str) -> None:
    refused(web.get("studies", JSON, params={"StudyInstanceUID": text}), "INVALID_ARGUMENT", "StudyInstanceUID")


@pytest.mark.parametrize("text", ["{} ", "{}%00", "%20{}"])
def test_uids_of_wado_uri(web: Web, text: str) -> None:
    names = ("studyUID", "seriesUID", "objectUID")
    query = "&".join(f"{name}={text.format(uid)}" for name, uid in zip(names, A, strict=True))
    response = web.get(f"wado?requestType=WADO&contentType=application/dicom&{query}".replace(" ", "%20"))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("path", "name", "text"),
    [
        ("studies", "PatientID", "P 1 "),
        ("studies", "PatientID", " P 1"),
        ("studies", "StudyDescription", " Left knee "),
        ("series", "SeriesNumber", "03"),
        ("series", "SeriesNumber", " 3 "),
        ("series", "SeriesNumber", "+3"),
        ("instances", "SeriesNumber", "3"),
        ("instances", "InstanceNumber", "07"),
        ("series", "RequestAttributesSequence.ScheduledProcedureStepID", " S1 "),
        (f"studies/{A[0]}/instances", "BodyPartExamined", "KNEE "),
    ],
)
def test_blanks_around_a_value_mean_nothing(web: Web, path: str, name: str, text: str) -> None:
    """PS3.5 §6.2"""
    assert found(web, path, **{name: text}) == [A[0]]


@pytest.mark.parametrize("text", ["P  1", "P2", "p 1", " ", "  "])
def test_blanks_inside_a_value_count(web: Web, text: str) -> None:
    assert web.search("studies", PatientID=text) == []


@pytest.mark.parametrize(
    ("path", "right"),
    [
        (f"studies/{A[0]}:getStudyMetrics", "GET, HEAD, OPTIONS"),
        (f"studies/{A[0]}/series/{A[1]}:getSeriesMetrics", "GET, HEAD, OPTIONS"),
        (f"{PATH}:getStorageInfo", "GET, HEAD, OPTIONS"),
        (f"studies/{A[0]}:setBlobStorageSettings", "POST, OPTIONS"),
        (f"{PATH}:setBlobStorageSettings", "POST, OPTIONS"),
    ],
)
def test_other_methods_of_what_google_adds(web: Web, path: str, right: str) -> None:
    for verb in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - set(right.split(", ")[:1]):
        response = web.gantry.request(verb, f"{web.root}/{path}")
        assert (response.status_code, response.headers["allow"]) == (204 if verb == "OPTIONS" else 405, right), verb
    assert len(web.search("instances")) == 2


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("healthz", "GET, HEAD, OPTIONS"),
        ("readyz", "GET, HEAD, OPTIONS"),
        ("metrics", "GET, HEAD, OPTIONS"),
        ("viewer/", "GET, HEAD, OPTIONS"),
        ("sign-in", "GET, HEAD, POST, OPTIONS"),
        ("console/", "GET, HEAD, POST, OPTIONS"),
        ("token", "POST, OPTIONS"),
        ("$discovery/rest", "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods_of_pages(gantry: Gantry, path: str, right: str) -> None:
    """RFC 9110 §15.5.6"""
    for verb in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - set(right.split(", ")[:-1]):
        response = gantry.request(verb, path)
        assert (response.status_code, response.headers["allow"]) == (204 if verb == "OPTIONS" else 405, right), verb
    refused(gantry.request("PUT", "nothing"), "NOT_FOUND")


@pytest.mark.parametrize("number", ["2", "99999", "99999999999", "999999999999999999"])
@pytest.mark.parametrize("what", ["", "/rendered", "/thumbnail"])
def test_frames_beyond_the_end(web: Web, number: str, what: str) -> None:
    refused(web.get(f"{PATH}/frames/{number}{what}"), "NOT_FOUND", number)
    refused(web.get(f"{PATH}/frames/1,{number}{what}"), "NOT_FOUND", number)


@pytest.mark.parametrize("place", ["series", "instances", "series/1.3.1/instances"])
def test_a_page_of_what_is_found_inside_headers_says_whether_there_is_more(gantry: Gantry, place: str) -> None:
    """PS3.18 §8.3.4.4"""
    web = Web(gantry)
    for series in ("1.3.1", "1.3.2", "1.3.3"):
        files = [instance(("1.3", series, f"{series}.{n}"), InstitutionName=f"H{n % 2}") for n in range(5)]
        web.stored(*files)
        web.stored(instance(("1.3", f"{series}9", f"{series}9.1"), Laterality="L"))
    wanted = {"Laterality": "L"} if place == "series" else {"InstitutionName": "H0"}
    whole = web.get(f"studies/1.3/{place}", JSON, params=wanted)
    assert "warning" not in whole.headers
    count = len(whole.json())
    for limit in range(1, count + 2):
        for offset in range(count):
            response = web.get(f"studies/1.3/{place}", JSON, params=wanted | {"limit": limit, "offset": offset})
            assert response.json() == whole.json()[offset : offset + limit]
            assert ("additional results" in response.headers.get("warning", "")) == (offset + limit < count)


@pytest.mark.parametrize("text", ["sRGB", "SRGB", "srgb", "DisplayP3"])
def test_colour_spaces_in_any_case(web: Web, text: str) -> None:
    """Literals of a grammar are in any case (RFC 5234 §2.3)."""
    pictures = [web.get(f"{PATH}/rendered", "image/png", params={"iccprofile": each}) for each in (text, text.lower())]
    assert pictures[0].status_code == 200 and pictures[0].content == pictures[1].content


def test_annotations_in_any_case(web: Web) -> None:
    path = f"{PATH}/rendered?viewport=300,300&annotation="
    first, second = web.get(f"{path}patient", "image/png"), web.get(f"{path}PATIENT", "image/png")
    assert first.content == second.content and "warning" not in second.headers
    mixed = web.get(f"{path}Patient,Foo", "image/png")
    assert mixed.content == first.content and mixed.headers["warning"].endswith('supported: Foo"')


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("studies/1.2.7", "", "text/html"),
        ("studies/1.2.7/series/1.2.7.1", "text/plain", "text/plain"),
        ("studies/1.2.7", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
    ],
)
def test_a_study_that_is_one_report(gantry: Gantry, path: str, accept: str, kind: str) -> None:
    """PS3.18 §10.4.1.1.3: rendered as its instance is."""
    web = Web(gantry)
    web.stored(report())
    response = web.get(f"{path}/rendered", accept)
    assert response.headers["content-type"] == f"{kind}; charset=utf-8", response.text
    assert response.content == web.get(f"{uid_path('1.2.7', '1.2.7.1', '1.2.7.1.1')}/rendered", accept).content
    assert web.get(f"{path}/rendered", "image/png").status_code == 406
    web.stored(without_pixels(("1.2.7", "1.2.7.1", "1.2.7.1.2")))
    refused(web.get(f"{path}/rendered"), "NOT_FOUND", "no image")


@pytest.mark.parametrize("verb", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["bigquery/v2/projects", "$discovery/rest?version=v1", "discovery/v1/apis/x/v1/rest"])
def test_the_rest_of_the_api_is_for_allowed_pages_too(allowed: Web, path: str, verb: str) -> None:
    origin = {"origin": "https://viewer.example"}
    ask = {"access-control-request-method": "GET"} if verb == "OPTIONS" else {}
    response = allowed.gantry.request(verb, path, headers=origin | ask)
    assert response.headers["access-control-allow-origin"] == origin["origin"]
    assert "Origin" in response.headers["vary"] and (verb != "OPTIONS" or response.status_code == 204)


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("allowed")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_ALLOWED_ORIGINS": "https://viewer.example"})
    yield Web(Gantry(server))
    server.stop()


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("viewer.example:443", "https://viewer.example"),
        ("viewer.example:80", "http://viewer.example"),
        ("viewer.example", "https://viewer.example"),
        ("Plain.example:80", "http://plain.example"),
        ("plain.example:443", "https://own.example"),
        ("port.example:8443", "https://port.example:8443"),
        ("port.example:443", "https://own.example"),
        ("port.example", "https://own.example"),
        ("[fd00::1]:443", "https://[fd00::1]"),
    ],
)
def test_a_port_that_goes_without_saying_may_be_said(host: str, base: str) -> None:
    """RFC 9110 §4.2"""
    named = ("https://viewer.example", "http://viewer.example", "http://plain.example", "https://port.example:8443")
    origins = Origins("https://own.example", (*named, "https://[fd00::1]"))
    assert origins.choose_base(host) == base
    if base != "https://own.example":
        origins.require_local("GET", {"host": host})
