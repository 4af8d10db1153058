"""Two servers behind one address: what one has begun, the other goes on with.

Each has a data directory, settings and caches of its own; they share an index in PostgreSQL and the stored instances.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gantry import server
from gantry.access_wiring import open_service_accounts
from gantry.api.server_facts import ServerFacts
from gantry.settings.loading import Settings
from tests.access.test_service_accounts import signed
from tests.support.dicom import make_instance
from tests.support.issuer import Issuer
from tests.support.postgresql import share, to_text

URL = "http://127.0.0.1:8080"
DATASETS = "/v1/projects/p/locations/us-central1/datasets"
STORE = f"{DATASETS}/d/dicomStores/s"
OWN = {"sec-fetch-site": "same-origin"}
ADA, BOB = "the-token-of-ada", "the-token-of-bob"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Pair:
    """Requests to the one and the other; cookies are kept, as a browser keeps those of one address."""

    def __init__(self, settings: Settings, servers: list[server.Gantry]) -> None:
        self.settings, self.servers = settings, servers
        self.cookies = httpx.Cookies()

    def request(self, number: int, verb: str, path: str, token: str = "", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.servers[number].app)
            async with httpx.AsyncClient(transport=transport, base_url=URL, cookies=self.cookies) as client:
                answer = await client.request(verb, path, headers=headers, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())

    def call(self, number: int, verb: str, path: str, token: str = ADA, **more: Any) -> Any:
        answer = self.request(number, verb, path, token, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("two")
    tokens = home / "tokens"
    tokens.write_text(f"{ADA} user:ada@example.org\n{BOB} user:bob@example.org\n")
    tokens.chmod(0o600)
    databases = share()
    url = databases.make()
    one = Settings(
        data=str(home / "one"),
        database=to_text(url).replace("+psycopg", ""),
        auth="required",
        tokens_file=str(tokens),
        admins=("user:ada@example.org",),
        oidc_issuer=issuer.url,
        oidc_audience="gantry",
        oidc_client_id="console",
        oidc_client_secret=issuer.secret,
        workers=1,
    )
    yield from _open(one, replace(one, data=str(home / "other")))
    databases.drop(url)


def _open(one: Settings, other: Settings) -> Iterator[Pair]:
    with server.open_server(one, server.Edge(one)) as first:
        edge = server.Edge(other)
        assert edge.access is not None
        edge.access.begin(first.seams.index)
        second = server.Gantry(other, first.seams, edge, lambda: None, None, ServerFacts())
        pair = Pair(one, [first, second])
        pair.call(0, "POST", f"{DATASETS}?datasetId=d")
        for name in "stu":
            pair.call(0, "POST", f"{DATASETS}/d/dicomStores?dicomStoreId={name}")
        data = make_instance("1.2", "1.2.3", "1.2.3.4")
        head = {"content-type": "application/dicom"}
        stored = pair.request(0, "POST", f"{STORE}/dicomWeb/studies", ADA, content=data, headers=head)
        assert stored.status_code == 200, stored.text
        yield pair
        second.uploads.close()


@pytest.fixture
def pair(servers: Pair) -> Pair:
    """A browser without cookies."""
    servers.cookies = httpx.Cookies()
    return servers


def test_a_session_begins_at_one_and_ends_at_the_other(pair: Pair) -> None:
    assert pair.request(0, "POST", "/sign-in", data={"token": ADA}, headers=OWN).status_code == 303
    for number in (0, 1):
        assert pair.request(number, "GET", STORE).status_code == 200
    kept = httpx.Cookies(pair.cookies)
    assert pair.request(1, "POST", "/sign-out", headers=OWN).status_code == 303
    pair.cookies = kept
    assert pair.request(0, "GET", STORE).status_code == 401


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_who_signs_in_at_the_issuer_may_come_back_to_the_other(
    pair: Pair, issuer: Issuer, first: int, second: int
) -> None:
    sent = pair.request(first, "GET", "/sign-in/oidc?next=/console/")
    back = httpx.get(sent.headers["location"]).headers["location"]
    answer = pair.request(second, "GET", back.removeprefix(URL))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/"), answer.text
    assert pair.request(first, "GET", "/console/").status_code == 200


def test_a_form_of_one_is_taken_by_the_other(pair: Pair) -> None:
    pair.request(0, "POST", "/sign-in", data={"token": ADA}, headers=OWN)
    assert pair.request(0, "GET", "/console/projects/p/locations/us-central1/datasets/d/create").status_code == 200
    form = {"name": "PatientName is A", "PatientName": "A"}
    below = "/console/projects/p/locations/us-central1/datasets/d/dicomStores/s"
    answer = pair.request(1, "POST", f"{below}/searches/save", data=form, headers=OWN)
    assert answer.status_code == 303, answer.text
    assert "PatientName is A" in pair.request(0, "GET", f"{below}/studies").text


def test_a_list_goes_on_at_the_other(pair: Pair) -> None:
    first = pair.call(0, "GET", f"{DATASETS}/d/dicomStores?pageSize=2")
    second = pair.call(1, "GET", f"{DATASETS}/d/dicomStores?pageSize=2&pageToken={first['nextPageToken']}")
    names = [each["name"].rpartition("/")[2] for each in first["dicomStores"] + second["dicomStores"]]
    assert names == ["s", "t", "u"]


def test_a_policy_counts_at_the_other_with_the_next_request(pair: Pair) -> None:
    for number, role in ((0, "roles/healthcare.dicomStoreViewer"), (1, "")):
        bindings = [{"role": role, "members": ["user:bob@example.org"]}] if role else []
        policy = {"bindings": bindings, "etag": pair.call(1 - number, "GET", f"{STORE}:getIamPolicy")["etag"]}
        pair.call(number, "POST", f"{STORE}:setIamPolicy", json={"policy": policy})
        expected = 200 if role else 403
        assert pair.request(1 - number, "GET", STORE, BOB).status_code == expected


@pytest.mark.parametrize("path", ["metadata", "series/1.2.3/instances/1.2.3.4"])
def test_the_other_knows_an_entity_tag(pair: Pair, path: str) -> None:
    address = f"{STORE}/dicomWeb/studies/1.2/{path}"
    head = {"accept": "application/dicom+json" if path == "metadata" else "application/dicom; transfer-syntax=*"}
    tag = pair.request(0, "GET", address, ADA, headers=head).headers["etag"]
    same = pair.request(1, "GET", address, ADA, headers=head | {"if-none-match": tag})
    assert (same.status_code, same.headers["etag"]) == (304, tag)


def test_a_token_of_one_is_good_at_the_other(pair: Pair, tmp_path: Path) -> None:
    with open_service_accounts(pair.settings) as accounts:
        key = accounts.create("pacs", "hospital", f"{URL}/token")
    member = f"serviceAccount:{key['client_email']}"
    policy = {"bindings": [{"role": "roles/healthcare.dicomStoreViewer", "members": [member]}]}
    pair.call(0, "POST", f"{DATASETS}/d/dicomStores/t:setIamPolicy", json={"policy": policy})
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed(key)}
    for number in (0, 1):
        token = pair.request(number, "POST", "/token", data=form).json()["access_token"]
        for each in (number, 1 - number):
            assert pair.request(each, "GET", f"{DATASETS}/d/dicomStores/t", token).status_code == 200


def test_an_issuer_s_caller_is_known_to_both(pair: Pair, issuer: Issuer) -> None:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": issuer.token(email="ada@example.org"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    token = dict(pair.request(0, "POST", "/token", data=form).json())["access_token"]
    for number in (0, 1):
        assert pair.request(number, "GET", STORE, token).status_code == 200
