"""What clients send and expect beyond the letter, and what PS3.18 requires of every answer."""

from __future__ import annotations

import re

import pytest

from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.apart import serve_apart  # noqa: F401
from tests.support.checked import check_clean
from tests.support.gantry import Gantry
from tests.support.web import AS_STORED, JSON, Web, parts_of, uid_path, value

STUDY, SERIES = "1.2.11", "1.2.11.1"
COUNT = 5


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(*(instance((STUDY, SERIES, f"{SERIES}.{number}")) for number in range(COUNT)))
    return made


@pytest.mark.parametrize("characters", [71, 73, 256])
def test_a_long_boundary_of_an_upload(gantry: Gantry, characters: int) -> None:
    """Orthanc's has 73 characters."""
    web, boundary = Web(gantry), ("0a1b2c3d-" * 40)[: characters - 1] + "x"
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = head + instance((STUDY, SERIES, f"{SERIES}.9")) + f"\r\n--{boundary}--".encode()
    headers = {"content-type": f"multipart/related; type=application/dicom; boundary={boundary}", "accept": JSON}
    response = gantry.request("POST", f"{web.root}/studies", content=body, headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("", AS_STORED),
        ("", ""),
        ("/metadata", 'multipart/related; type="application/dicom+xml"'),
        (f"/series/{SERIES}/instances/{SERIES}.1/frames/1", ""),
        (f"/series/{SERIES}/instances/{SERIES}.1/bulkdata/7FE00010", 'multipart/related; type="application/*"'),
        (f"/series/{SERIES}/instances/{SERIES}.1/rendered", 'multipart/related; type="image/png"'),
    ],
)  # fmt: skip
def test_nothing_comes_before_the_first_delimiter(web: Web, path: str, accept: str) -> None:
    """PS3.18 §8.6.1.2.1"""
    response = web.get(f"studies/{STUDY}{path}", accept)
    assert response.status_code == 200, response.text
    (boundary,) = re.findall("boundary=([^;]+)", response.headers["content-type"])
    assert response.content.startswith(f"--{boundary}\r\nContent-Type: ".encode())
    assert response.content.endswith(f"\r\n--{boundary}--\r\n".encode())


def test_each_part_says_where_it_comes_from(web: Web) -> None:
    """PS3.18 §8.6.1.2.2: each address gives the part alone."""
    for part in parts_of(web.get(f"studies/{STUDY}", AS_STORED)):
        assert part.location.startswith(f"{web.url}/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.")
        path = part.location.removeprefix(f"{web.url}/")
        assert web.get(path, "application/dicom; transfer-syntax=*").content == part.data
    frames = f"{uid_path(STUDY, SERIES, f'{SERIES}.1')}/frames"
    (part,) = parts_of(web.get(f"{frames}/1/rendered", 'multipart/related; type="image/png"'))
    assert part.location == f"{web.url}/{frames}/1/rendered"


@pytest.mark.parametrize("path", [uid_path(STUDY), uid_path(STUDY, SERIES), uid_path(STUDY, SERIES, f"{SERIES}.0")])
def test_each_part_of_metadata_says_where_it_comes_from(web: Web, path: str) -> None:
    xml = 'multipart/related; type="application/dicom+xml"'
    found = parts_of(web.get(f"{path}/metadata", xml))
    assert len(found) == (1 if "instances" in path else COUNT)
    for part in found:
        assert part.location.startswith(f"{web.url}/{uid_path(STUDY, SERIES, SERIES)}.")
        (alone,) = parts_of(web.get(part.location.removeprefix(f"{web.url}/"), xml))
        assert alone == part
    assert [part.location for part in parts_of(web.get("studies", xml))] == [""], "a result has an address inside"


@pytest.mark.parametrize("parameter", ["annotation", "charset", "iccprofile", "x", "requestType"])
@pytest.mark.parametrize("path", ["rendered", "frames/1/rendered", "thumbnail"])
def test_parameters_that_nobody_knows_are_ignored(web: Web, path: str, parameter: str) -> None:
    """PS3.18 §8.3"""
    address = f"{uid_path(STUDY, SERIES, f'{SERIES}.1')}/{path}"
    plain = web.get(address, "image/png")
    assert web.get(f"{address}?{parameter}=no", "image/png").content == plain.content


@pytest.mark.parametrize("uid", ["1" * 65, "1.2.x", "study_1", "1..2 "])
def test_a_study_that_cannot_be_one(gantry: Gantry, uid: str) -> None:
    web = Web(gantry)
    response = web.store(instance((STUDY, SERIES, f"{SERIES}.1")), study=uid.replace(" ", "%20"))
    refused(response, "INVALID_ARGUMENT", "UID")
    assert web.search("studies") == []


@pytest.mark.parametrize("kind", ["text/plain", "image/jpeg", "multipart/related; type=image/jpeg; boundary=b", ""])
def test_a_body_of_a_type_that_cannot_be_stored(gantry: Gantry, kind: str) -> None:
    """PS3.18 §10.5.3.1: 415."""
    web = Web(gantry)
    headers = {"content-type": kind} if kind else {}
    response = gantry.request("POST", f"{web.root}/studies", content=b"x" * 300, headers=headers)
    assert response.status_code == 415 and response.json()["error"]["status"] == "INVALID_ARGUMENT", response.text


@pytest.mark.parametrize("text", ["x{}", "{}x", '"{}', "{}, x", "W/{}y", "a, {}", "W/ {}"])
def test_a_condition_that_cannot_be_read_is_none(web: Web, text: str) -> None:
    """RFC 9110 §13.1.2, §8.8.3"""
    path = uid_path(STUDY, SERIES, f"{SERIES}.1")
    etag = web.get(path, "application/dicom").headers["etag"]
    for right in (etag, f"W/{etag}", f'"a", {etag}', f'{etag},"b"', "*", f', {etag} ,, "c"'):
        assert web.get(path, "application/dicom", headers={"if-none-match": right}).status_code == 304, right
    response = web.get(path, "application/dicom", headers={"if-none-match": text.format(etag)})
    assert response.status_code == 200, text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("studies", "GET, HEAD, POST, OPTIONS"),
        (f"studies/{STUDY}", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("series", "GET, HEAD, OPTIONS"),
        (f"studies/{STUDY}/metadata", "GET, HEAD, OPTIONS"),
        (uid_path(STUDY, SERIES, f"{SERIES}.1"), "GET, HEAD, DELETE, OPTIONS"),
        (f"{uid_path(STUDY, SERIES, f'{SERIES}.1')}/frames/1", "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods_are_refused_with_those_that_there_are(web: Web, path: str, allowed: str) -> None:
    """RFC 9110 §15.5.6, §9.3.7"""
    for verb in ("PUT", "PATCH", "DELETE", "POST"):
        if verb not in allowed:
            response = web.gantry.request(verb, f"{web.root}/{path}", content=b"")
            assert (response.status_code, response.headers["allow"]) == (405, allowed), verb
    response = web.gantry.request("OPTIONS", f"{web.root}/{path}")
    assert (response.status_code, response.headers["allow"], response.content) == (204, allowed, b"")
    assert len(web.search(f"studies/{STUDY}/instances")) == COUNT


def test_a_path_that_does_not_exist_has_no_methods(web: Web) -> None:
    for verb in ("GET", "OPTIONS", "PUT"):
        refused(web.gantry.request(verb, f"{web.root}/patients"), "NOT_FOUND")


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_a_page_says_whether_there_is_more(web: Web, level: str) -> None:
    """PS3.18 §8.3.4.4"""
    web.stored(*(instance((f"{STUDY}.{n}", f"{STUDY}.{n}.1", f"{STUDY}.{n}.1.1")) for n in range(3)))
    whole = web.get(level, JSON)
    assert "warning" not in whole.headers
    count = len(whole.json())
    for limit in range(1, count + 2):
        for offset in range(count):
            response = web.get(level, JSON, params={"limit": limit, "offset": offset})
            assert response.json() == whole.json()[offset : offset + limit]
            assert ("warning" in response.headers) == (offset + limit < count), (limit, offset)
            if "warning" in response.headers:
                assert (
                    response.headers["warning"].startswith("299 ")
                    and "additional results" in response.headers["warning"]
                )


@pytest.mark.parametrize(("label", "status"), [("accept", 200), ("refuse", 409), ("", 409)])
def test_the_same_bytes_again(web: Web, label: str, status: int) -> None:
    """As Google: refused. By a label of the store: a success, which Orthanc's "send again" and Beam expect."""
    labels = {"gantry-identical": label} if label else {"other": "accept"}
    store = web.root.removesuffix("/dicomWeb")
    web.gantry.call("PATCH", f"{store}?updateMask=labels", json={"labels": labels})
    same, new = instance((STUDY, SERIES, f"{SERIES}.1")), instance((STUDY, SERIES, f"{SERIES}.77"))
    response = web.store(same, new)
    assert response.status_code == status, response.text
    referenced = response.json()["00081199"]["Value"]
    assert {value(item, "00081155") for item in referenced} >= {f"{SERIES}.77"}
    assert len(referenced) == (2 if status == 200 else 1)
    other = instance((STUDY, SERIES, f"{SERIES}.1"), PatientName="Other")
    assert web.store(other).status_code == 409, "other bytes are never a success"
    path = uid_path(STUDY, SERIES, f"{SERIES}.1")
    assert web.get(path, "application/dicom; transfer-syntax=*").content == same
    check_clean(web.gantry.server.data)


@pytest.mark.parametrize("is_stored", [False, True])
def test_the_same_bytes_twice_in_one_request(web: Web, is_stored: bool) -> None:
    """Each is a success, as it is when they are sent one after the other."""
    store = web.root.removesuffix("/dicomWeb")
    web.gantry.call("PATCH", f"{store}?updateMask=labels", json={"labels": {"gantry-identical": "accept"}})
    uids = (STUDY, SERIES, f"{SERIES}.88{int(is_stored)}")
    same, other = instance(uids), instance(uids, PatientName="Other")
    if is_stored:
        assert web.store(same).status_code == 200
    response = web.store(same, same)
    assert response.status_code == 200, response.text
    assert len(response.json()["00081199"]["Value"]) == 2
    response = web.store(same, other, same)
    assert response.status_code == 409
    found = response.json()
    assert (len(found["00081199"]["Value"]), len(found["00081198"]["Value"])) == (2, 1)
    assert web.get(uid_path(*uids), "application/dicom; transfer-syntax=*").content == same
    check_clean(web.gantry.server.data)
