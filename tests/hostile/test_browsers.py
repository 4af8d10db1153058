"""What pages of others make a browser do: DNS rebinding, requests across sites, sessions that are planted.

CVE-2018-5702 (rebinding, Transmission), CVE-2023-33466 (requests that write, Orthanc); CWE-346, CWE-352, CWE-384.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.access import ADMIN, Guarded
from tests.support.gantry import Gantry
from tests.support.raw import RawConnection

DATASETS = "v1/projects/p/locations/us-central1/datasets"
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("browsers"), "bob")
    made.call("POST", f"{DATASETS}?datasetId=d")
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def sign_in(guarded: Guarded, who: str = ADMIN, **cookies: str) -> tuple[httpx.Client, str]:
    """A browser that has, and the value of its cookie."""
    client = httpx.Client(base_url=guarded.server.url, timeout=60, cookies=cookies)
    answer = client.post("/sign-in", data={"token": guarded.tokens[who]}, headers=OWN)
    assert answer.status_code == 303, answer.text
    return client, answer.cookies["gantry-session"]


class TestRebinding:
    """The name of somebody's page leads to this machine: a browser takes both for one origin."""

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "xn--lcalhost-x.example"])
    @pytest.mark.parametrize(
        "path",
        ["{dataset}", "{store}/dicomWeb/studies", "{store}/dicomWeb/studies/1.2/metadata", "{dataset}/operations"],
    )
    def test_reading(self, gantry: Gantry, host: str, path: str) -> None:
        path = f"/v1/{path.format(dataset=gantry.dataset, store=gantry.store)}"
        status, body = rebound(gantry, f"GET {path} HTTP/1.1", host)
        assert (status, gantry.dataset_id.encode() in body) == (403, False)

    @pytest.mark.parametrize("path", ["console/", "viewer/", "logs/x", "metrics", "$discovery/rest?version=v1"])
    def test_pages(self, gantry: Gantry, path: str) -> None:
        assert rebound(gantry, f"GET /{path} HTTP/1.1", "evil.example")[0] == 403

    @pytest.mark.parametrize("verb", ["POST", "PATCH", "DELETE"])
    def test_writing(self, gantry: Gantry, verb: str) -> None:
        tail = ":import" if verb == "POST" else ""
        head = f"{verb} /v1/{gantry.store}{tail} HTTP/1.1\nContent-Length: 0"
        assert rebound(gantry, head, "evil.example")[0] == 403
        assert gantry.call("GET", f"v1/{gantry.store}")["name"] == gantry.store


def rebound(gantry: Gantry, head: str, host: str) -> tuple[int, bytes]:
    """Status and body of the answer to a request for another host."""
    lines = "\r\n".join([*head.splitlines(), f"Host: {host}", "Connection: close"])
    with RawConnection(gantry.server) as connection:
        connection.send(lines.encode() + b"\r\n\r\n")
        answer = connection.receive()
    top, _, rest = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), rest


SITES = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    {},
]
SIMPLE = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
"""Content types that a page may send elsewhere without asking (Fetch §2.2.2)."""


class TestAcrossSites:
    @pytest.mark.parametrize("headers", SITES)
    @pytest.mark.parametrize("content_type", SIMPLE)
    def test_a_session_changes_nothing_for_a_page_of_others(
        self, guarded: Guarded, headers: dict[str, str], content_type: str
    ) -> None:
        client, _ = sign_in(guarded)
        for verb, path in (
            ("POST", f"{DATASETS}?datasetId=evil"),
            ("PATCH", f"{DATASETS}/d"),
            ("DELETE", f"{DATASETS}/d"),
        ):
            response = client.request(verb, f"/{path}", content=b"{}", headers=headers | {"content-type": content_type})
            assert response.status_code in (401, 403), response.text
        assert guarded.request(ADMIN, "GET", f"{DATASETS}/evil").status_code == 404
        assert guarded.request(ADMIN, "GET", f"{DATASETS}/d").status_code == 200

    @pytest.mark.parametrize("headers", SITES[:1] + SITES[4:5])
    def test_a_session_reads_nothing_for_a_page_of_others(self, guarded: Guarded, headers: dict[str, str]) -> None:
        client, _ = sign_in(guarded)
        assert client.get(f"/{DATASETS}", headers=headers).status_code in (401, 403)

    @pytest.mark.parametrize("headers", SITES[:5])
    def test_nobody_is_signed_in_or_out_by_a_page_of_others(self, guarded: Guarded, headers: dict[str, str]) -> None:
        """Signed in as somebody else, people store their patients' images with a stranger."""
        client, cookie = sign_in(guarded)
        for path, form in (("/sign-in", {"token": guarded.tokens["bob"]}), ("/sign-out", {})):
            response = client.post(path, data=form, headers=headers)
            assert response.status_code in (401, 403, 404), (path, response.status_code)
        assert client.cookies["gantry-session"] == cookie
        assert client.get(f"/{DATASETS}").status_code == 200

    @pytest.mark.parametrize("headers", SITES[2:5])
    def test_no_answer_lets_pages_of_others_read_it(self, gantry: Gantry, headers: dict[str, str]) -> None:
        for verb, path in (
            ("GET", f"v1/{gantry.store}"),
            ("OPTIONS", f"v1/{gantry.store}"),
            ("GET", f"v1/{gantry.dataset}"),
        ):
            response = gantry.request(verb, path, headers=headers)
            assert response.headers.get("access-control-allow-origin") in (None, "")
            assert "access-control-allow-credentials" not in response.headers


class TestFixation:
    @pytest.mark.parametrize("planted", ["evil", "", "x" * 3000, "../../x"])
    def test_a_planted_cookie_is_not_taken_over(self, guarded: Guarded, planted: str) -> None:
        _, cookie = sign_in(guarded, **{"gantry-session": planted})
        assert cookie != planted and len(cookie) >= 32
        stranger = httpx.Client(base_url=guarded.server.url, cookies={"gantry-session": planted}, timeout=60)
        assert stranger.get(f"/{DATASETS}").status_code == 401

    def test_each_sign_in_is_a_session_of_its_own(self, guarded: Guarded) -> None:
        client, first = sign_in(guarded)
        client.post("/sign-in", data={"token": guarded.tokens[ADMIN]}, headers=OWN)
        assert client.cookies["gantry-session"] != first

    def test_a_session_that_has_ended_is_not_taken_again(self, guarded: Guarded) -> None:
        client, cookie = sign_in(guarded)
        assert client.get(f"/{DATASETS}").status_code == 200
        assert client.post("/sign-out", headers=OWN).status_code == 303
        again = httpx.Client(base_url=guarded.server.url, cookies={"gantry-session": cookie}, timeout=60)
        assert again.get(f"/{DATASETS}").status_code == 401

    def test_a_session_is_not_taken_from_an_address(self, guarded: Guarded) -> None:
        _, cookie = sign_in(guarded)
        for query in (f"gantry-session={cookie}", f"access_token={cookie}", f"session={cookie}"):
            assert guarded.server.request("GET", f"{DATASETS}?{query}").status_code in (400, 401)

    @pytest.mark.parametrize(
        "target", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
                   "javascript:alert(1)", "/%0d%0aLocation: https://evil.example", " //evil.example"]
    )  # fmt: skip
    def test_nobody_is_sent_elsewhere(self, guarded: Guarded, target: str) -> None:
        """CWE-601"""
        client = httpx.Client(base_url=guarded.server.url, timeout=60)
        answer = client.post("/sign-in", data={"token": guarded.tokens[ADMIN], "next": target}, headers=OWN)
        assert answer.status_code == 303
        location = answer.headers["location"]
        assert location.startswith("/") and not location.startswith(("//", "/\\", "/\t"))
        assert "evil.example" not in location or location.startswith("/%0d%0a")
