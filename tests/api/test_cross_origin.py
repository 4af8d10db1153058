"""Pages of other origins that a browser shows: CORS (WHATWG Fetch §3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gantry.api.origins import Origins
from gantry.errors import InvalidArgument
from gantry.settings.loading import load_settings
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import JSON, Web, value

VIEWER, OTHER = "https://viewer.example", "https://evil.example"
ALLOW, CREDENTIALS = "access-control-allow-origin", "access-control-allow-credentials"
PREFLIGHT = {"access-control-request-method": "GET", "access-control-request-headers": "authorization,accept"}


def serve(tmp_path: Path, origins: str, **env: str) -> Web:
    server = start_server(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_ALLOWED_ORIGINS": origins} | env)
    return Web(Gantry(server))


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    made = serve(tmp_path_factory.mktemp("allowed"), f"{VIEWER},http://viewer.example:3000")
    made.stored(instance(("1.2", "1.2.1", "1.2.1.1")))
    yield made
    made.gantry.server.stop()


def ask(web: Web, verb: str, path: str, origin: str = "", **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): text for name, text in headers.items()} | ({"origin": origin} if origin else {})
    return web.gantry.request(verb, path, headers=sent)


@pytest.mark.parametrize("origin", [VIEWER, "http://viewer.example:3000"])
@pytest.mark.parametrize(
    "path", ["studies", "studies/9.9", "studies/1.2", "studies/x/y/z", "studies?StudyInstanceUID=*1"]
)
def test_every_answer_can_be_read_errors_too(web: Web, path: str, origin: str) -> None:
    response = ask(web, "GET", f"{web.root}/{path}", origin)
    assert response.headers[ALLOW] == origin and response.headers[CREDENTIALS] == "true"
    assert "Origin" in response.headers["vary"]
    exposed = response.headers["access-control-expose-headers"].lower()
    assert all(name in exposed for name in ("etag", "warning", "content-range", "content-location", "allow"))


@pytest.mark.parametrize("place", ["", "/", "/wado"])
def test_the_address_of_capabilities_answers_preflights(web: Web, place: str) -> None:
    answer = web.gantry.request("OPTIONS", f"{web.root}{place}", headers={"origin": VIEWER} | PREFLIGHT)
    assert (answer.status_code, answer.content, answer.headers[ALLOW]) == (204, b"", VIEWER)
    plain = ask(web, "OPTIONS", f"{web.root}", VIEWER)
    assert (plain.status_code, plain.headers[ALLOW]) == (200, VIEWER)


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "http://viewer.example", "https://viewer.example:3000", "https://viewer.example.evil.example",
               "https://VIEWER.example/", "*", "https://viewer.example, https://evil.example"],
)  # fmt: skip
def test_others_get_nothing_that_lets_them_read(web: Web, origin: str) -> None:
    for verb, more in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        response = web.gantry.request(verb, f"{web.root}/studies", headers={"origin": origin} | more)
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert "Origin" in response.headers["vary"], "a cache must not give one origin's answer to another"


def test_without_the_setting_nothing_is_said(gantry: Gantry) -> None:
    response = gantry.request("GET", f"v1/{gantry.dataset}", headers={"origin": VIEWER})
    assert response.status_code == 200 and "origin" not in response.headers["vary"].lower()
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["v1/projects/p", "v1/projects/p/locations/us-central1/datasets/x:import", "v1beta1/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "PUT"])
def test_a_browser_asks_first(web: Web, path: str, method: str) -> None:
    for place in (path, f"{web.root}/studies"):
        headers = PREFLIGHT | {"access-control-request-method": method, "origin": VIEWER}
        response = web.gantry.request("OPTIONS", place, headers=headers)
        assert (response.status_code, response.content, response.headers[ALLOW]) == (204, b"", VIEWER)
        assert method in response.headers["access-control-allow-methods"].split(", ")
        assert response.headers["access-control-allow-headers"] == "authorization,accept"


def test_a_header_of_a_question_cannot_carry_others(web: Web) -> None:
    headers = PREFLIGHT | {"origin": VIEWER, "access-control-request-headers": "x;<script>" + "a" * 100}
    response = web.gantry.request("OPTIONS", f"{web.root}/studies", headers=headers)
    assert response.status_code == 204 and response.headers["access-control-allow-headers"] == ""


def test_pages_of_the_server_are_for_itself(web: Web) -> None:
    for path in ("console/", "healthz", "metrics"):
        assert ALLOW not in ask(web, "GET", path, VIEWER).headers


@pytest.mark.parametrize(("origin", "status"), [(VIEWER, 200), (OTHER, 403), ("null", 403)])
def test_changes_from_elsewhere(web: Web, origin: str, status: int) -> None:
    path = web.root.removesuffix("/dicomWeb")
    response = web.gantry.request("PATCH", f"{path}?updateMask=labels", json={"labels": {}}, headers={"origin": origin})
    assert response.status_code == status, response.text


def test_any_origin_reads_without_credentials_and_changes_nothing(tmp_path: Path) -> None:
    web = serve(tmp_path, "*")
    try:
        response = ask(web, "GET", f"{web.root}/studies", OTHER)
        assert response.headers[ALLOW] == "*" and CREDENTIALS not in response.headers
        assert ask(web, "DELETE", f"{web.root}/studies/1.2", OTHER).status_code == 403
    finally:
        web.gantry.server.stop()


def test_with_tokens_a_question_needs_none(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("")
    server = start_server(
        tmp_path / "data",
        tmp_path / "buckets",
        env={"GANTRY_ALLOWED_ORIGINS": VIEWER, "GANTRY_AUTH": "required", "GANTRY_ADMINS": "user:a@example.org"},
    )
    try:
        response = server.request("OPTIONS", "v1/projects/p", headers=PREFLIGHT | {"origin": VIEWER})
        assert (response.status_code, response.headers[ALLOW]) == (204, VIEWER)
        refused = server.request("GET", "v1/projects/p/locations", headers={"origin": VIEWER})
        assert refused.status_code == 401 and refused.headers[ALLOW] == VIEWER, "the page sees that it must sign in"
    finally:
        server.stop()


# --- the address in answers


@pytest.mark.slow
def test_addresses_in_answers_are_those_by_which_the_caller_came(tmp_path: Path) -> None:
    web = serve(tmp_path, "https://pacs.example,http://pacs.example:8000")
    try:
        web.stored(instance(("1.2", "1.2.1", "1.2.1.1"), PixelData=bytes(4096)))
        port = web.gantry.server.port
        for host, base in {
            "pacs.example": "https://pacs.example",
            "pacs.example:8000": "http://pacs.example:8000",
            f"localhost:{port}": f"http://localhost:{port}",
            f"127.0.0.1:{port}": f"http://127.0.0.1:{port}",
        }.items():
            headers = {"host": host, "accept": JSON}
            (found,) = web.gantry.request("GET", f"{web.root}/studies/1.2/metadata", headers=headers).json()
            assert found["7FE00010"]["BulkDataURI"].startswith(f"{base}/{web.root}/")
            (study,) = web.gantry.request("GET", f"{web.root}/studies", headers=headers).json()
            assert value(study, "00081190") == f"{base}/{web.root}/studies/1.2"
            for path in ("$discovery/rest?version=v1", "discovery/v1/apis/bigquery/v2/rest"):
                assert web.gantry.request("GET", path, headers={"host": host}).json()["rootUrl"] == f"{base}/"
            (made,) = web.gantry.call("GET", f"v1/{web.gantry.dataset}/operations", headers={"host": host})[
                "operations"
            ]
            assert made["metadata"]["logsUrl"].startswith(f"{base}/logs/")
    finally:
        web.gantry.server.stop()


@pytest.mark.parametrize(
    ("public_url", "host", "base"),
    [
        ("https://pacs.example", "pacs.example", "https://pacs.example"),
        ("https://pacs.example", "evil.example", "https://pacs.example"),
        ("https://pacs.example", "localhost", "https://pacs.example"),
        ("https://pacs.example", "", "https://pacs.example"),
        ("http://127.0.0.1:8080", "localhost:9", "http://localhost:9"),
        ("http://127.0.0.1:8080", "localhost", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "[::1]", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "[::1]:80", "http://[::1]:80"),
        ("http://127.0.0.1:8080", "evil.example", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "viewer.example", "https://viewer.example"),
        ("http://127.0.0.1:8080", "[::1", "http://127.0.0.1:8080"),
    ],
)
def test_an_address_that_is_not_allowed_stands_in_no_answer(public_url: str, host: str, base: str) -> None:
    assert Origins(public_url, (VIEWER, "http://viewer.example")).choose_base(host) == base


@pytest.mark.parametrize(
    "origin", ["viewer.example", "https://viewer.example/", "https://viewer.example/x", "https://VIEWER.example",
               "null", "https://viewer.example:443", "ftp://viewer.example", "https://u@viewer.example",
               "https://", "**"],
)  # fmt: skip
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(InvalidArgument, match=r"allowed_origins: .* is not a list of origins"):
        load_settings({}, {"GANTRY_ALLOWED_ORIGINS": origin})
