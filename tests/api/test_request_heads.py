"""What the head of a request may say: names of hosts, conditions, ranges, encodings (RFC 9110, RFC 9112)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.api.origins import Origins
from gantry.errors import PermissionDenied
from gantry.settings.readers import ORIGINS
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.raw import RawConnection
from tests.support.replicas import start_server
from tests.support.web import JSON, Web, uid_path

UIDS = ("1.2", "1.2.1", "1.2.1.1")
ALLOWED = "https://viewer.example"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    home: Path = tmp_path_factory.mktemp("heads")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_ALLOWED_ORIGINS": ALLOWED})
    made = Web(Gantry(server))
    made.stored(instance(UIDS))
    yield made
    server.stop()


def ask(web: Web, lines: list[str], path: str = "", verb: str = "GET", version: str = "1.1") -> tuple[int, bytes]:
    """Exactly these lines, and no other, after the first one."""
    first = f"{verb} /{web.root}/{path or 'studies'} HTTP/{version}"
    with RawConnection(web.gantry.server) as connection:
        connection.send("\r\n".join([first, *lines, "Connection: close", "", ""]).encode("latin-1"))
        answer = connection.receive()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


@pytest.mark.parametrize(
    "lines", [[], ["Host: 127.0.0.1", "Host: 127.0.0.1"], ["Host: 127.0.0.1", "Host: evil.example"]]
)
@pytest.mark.one_process("nginx answers that itself")
def test_http_1_1_has_exactly_one_host(web: Web, lines: list[str]) -> None:
    status, body = ask(web, lines)
    assert status == 400 and json.loads(body)["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.one_process("nginx answers that itself")
def test_http_1_0_may_have_none(web: Web) -> None:
    assert ask(web, [], version="1.0")[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example\\@127.0.0.1:80",
        "localhost?x:1",
        "localhost#a:1",
        "localhost:8080/evil:1",
        "evil@localhost:80",
        "localhost:\xb2",
        "localhost:99999",
        "local host",
        "[::1",
        "127.0.0.1,evil.example",
    ],
)
def test_what_is_no_host_gets_into_no_address(web: Web, host: str) -> None:
    status, body = ask(web, [f"Host: {host}", f"Accept: {JSON}"])
    assert status == 400 and b"evil" not in body.replace(b"Host: ", b"").partition(b"is no name")[2]


@pytest.mark.one_process("nginx answers that itself")
def test_an_empty_host_is_the_one_of_the_settings(web: Web) -> None:
    """RFC 9112 §3.2: where the target has no authority."""
    status, body = ask(web, ["Host:", f"Accept: {JSON}"])
    assert status == 200 and json.loads(body)[0]["00081190"]["Value"][0].startswith("http://127.0.0.1")


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("viewer.example:PORT", "http://viewer.example:PORT", "same-origin"),
        ("viewer.example:PORT", "", ""),
        ("viewer.example:81", "http://viewer.example:81", ""),
    ],
)
def test_only_the_exact_address_of_an_allowed_origin_is_one_of_this_server(
    web: Web, host: str, origin: str, site: str
) -> None:
    """DNS rebinding: a page of http://viewer.example:PORT can be anybody's, where only https was allowed."""
    port = str(web.gantry.server.port)
    named = {"Host": host, "Origin": origin, "Sec-Fetch-Site": site}
    lines = [f"{name}: {text.replace('PORT', port)}" for name, text in named.items() if text]
    assert ask(web, lines)[0] == 403
    assert ask(web, [*lines, "Content-Length: 0"], verb="POST")[0] == 403


def test_an_allowed_address_is_that_of_its_own_scheme() -> None:
    origins = Origins("http://127.0.0.1:8080", [ALLOWED])
    origins.require_local("POST", {"host": "viewer.example", "origin": ALLOWED})
    with pytest.raises(PermissionDenied):
        origins.require_local("POST", {"host": "viewer.example", "origin": "http://viewer.example"})


@pytest.mark.parametrize(
    "text", ["https://*.example", "https://h:", "https://h:0", "https://bücher.example", "https://"]
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError):
        ORIGINS.read(text)


@pytest.mark.parametrize("verb", ["DELETE", "POST", "PUT", "PATCH"])
def test_a_change_that_depends_on_an_entity_tag_is_not_made(web: Web, verb: str) -> None:
    path = {"DELETE": uid_path(*UIDS), "PATCH": f"{uid_path(*UIDS)}/metadata"}.get(verb, "studies")
    root = web.root.replace("v1/", "v1beta1/")
    for tag, status in (('"nope"', 412), ('W/"x", "y"', 412)):
        response = web.gantry.request(verb, f"{root}/{path}", headers={"if-match": tag})
        assert response.status_code == status and response.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert web.gantry.request("GET", f"{web.root}/{uid_path(*UIDS)}").status_code == 200


def test_if_match_of_any_representation_is_no_obstacle(web: Web) -> None:
    uids = ("1.3", "1.3.1", "1.3.1.1")
    web.stored(instance(uids))
    assert web.gantry.request("DELETE", f"{web.root}/{uid_path(*uids)}", headers={"if-match": "*"}).status_code == 200


def test_a_range_is_of_get_alone(web: Web) -> None:
    accept = {"accept": "application/dicom; transfer-syntax=*", "range": "bytes=0-9"}
    path = f"{web.root}/{uid_path(*UIDS)}"
    whole = web.gantry.request("HEAD", path, headers=accept)
    assert whole.status_code == 200 and "content-range" not in whole.headers
    assert web.gantry.request("GET", path, headers=accept).status_code == 206


@pytest.mark.one_process("nginx answers that itself")
def test_options_of_the_whole_server(web: Web) -> None:
    with RawConnection(web.gantry.server) as connection:
        connection.send(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = connection.receive().decode()
    assert answer.startswith("HTTP/1.1 204 ")
    assert "\r\nallow: get, head, post, put, patch, delete, options\r\n" in answer.lower()


def test_an_encoding_that_is_not_known_is_415(web: Web) -> None:
    headers = {"content-type": "application/dicom", "content-encoding": "br"}
    response = web.gantry.request("POST", f"{web.root}/studies", content=b"x", headers=headers)
    assert response.status_code == 415 and "gzip" in response.json()["error"]["message"]


def test_a_plus_in_the_accept_parameter_need_not_be_encoded(web: Web) -> None:
    address = f"{web.root}/{uid_path(*UIDS)}/metadata?accept=application/dicom+json"
    response = web.gantry.request("GET", address)
    assert response.status_code == 200 and response.headers["content-type"] == JSON
    xml = 'multipart/related;%20type="application/dicom+xml"'
    assert web.gantry.request("GET", address.partition("?")[0] + f"?accept={xml}").status_code == 200


def test_what_the_accept_parameter_asked_for_is_named(web: Web) -> None:
    response = web.gantry.request("GET", f"{web.root}/studies?accept=image/jpeg", headers={"accept": "text/html"})
    assert response.status_code == 406 and "image/jpeg" in response.json()["error"]["message"]
