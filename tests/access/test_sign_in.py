"""Browsers sign in with the identities that tokens have, or at the issuer, and are known by a cookie."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from gantry.access import issuer as publishing
from gantry.access.oidc import OidcTokens
from gantry.access.sign_in import OidcSignIn
from gantry.errors import PermissionDenied, Unauthenticated, Unavailable
from gantry.iam.policies import Principal
from tests.support.access import ADMIN, Guarded, member
from tests.support.issuer import Issuer

STORES = "roles/healthcare.dicomStoreViewer"
DATASETS = "v1/projects/p/locations/us-central1/datasets"
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Guarded]:
    settings = {
        "GANTRY_OIDC_ISSUER": issuer.url,
        "GANTRY_OIDC_AUDIENCE": "gantry",
        "GANTRY_OIDC_CLIENT_ID": "console",
        "GANTRY_OIDC_CLIENT_SECRET": issuer.secret,
    }
    made = Guarded(
        tmp_path_factory.mktemp("sign-in"),
        "bob",
        "carl",
        "dora",
        **settings,
    )
    made.call("POST", f"{DATASETS}?datasetId=d")
    made.call("POST", f"{DATASETS}/d/dicomStores?dicomStoreId=s")
    yield made
    assert "Traceback" not in made.server.log_text()
    assert issuer.secret not in made.server.log_text()
    made.server.stop()


def browser(guarded: Guarded) -> httpx.Client:
    return httpx.Client(base_url=guarded.server.url, timeout=30)


def signed_in(guarded: Guarded, who: str = ADMIN, target: str = "") -> httpx.Client:
    made = browser(guarded)
    answer = made.post("/sign-in", data={"token": guarded.tokens[who], "next": target}, headers=OWN)
    assert answer.status_code == 303, answer.text
    return made


def test_a_token_gives_a_session_that_the_api_knows(guarded: Guarded) -> None:
    client = browser(guarded)
    answer = client.post("/sign-in", data={"token": guarded.tokens[ADMIN], "next": "/viewer/?a=1"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/viewer/?a=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower() and "Path=/" in cookie
    assert guarded.tokens[ADMIN] not in cookie
    assert client.get(f"/{DATASETS}/d").status_code == 200
    assert client.post(f"/{DATASETS}?datasetId=first", headers=OWN).status_code == 200
    assert browser(guarded).get(f"/{DATASETS}/d").status_code == 401


def test_a_session_may_what_its_owner_may(guarded: Guarded) -> None:
    client = signed_in(guarded, "carl")
    assert client.get(f"/{DATASETS}/d/dicomStores/s").status_code == 403
    guarded.grant("projects/p", (STORES, "carl"), (STORES, "dora"))
    assert client.get(f"/{DATASETS}/d/dicomStores/s").status_code == 200
    assert client.post(f"/{DATASETS}?datasetId=e", headers=OWN).status_code == 403


@pytest.mark.parametrize("token", ["", "the-token-of-nobody", "a.b.c", "\0", "x" * 5000])
def test_a_token_that_is_not_known(guarded: Guarded, token: str) -> None:
    answer = browser(guarded).post("/sign-in", data={"token": token}, headers=OWN)
    assert answer.status_code == 401 and "set-cookie" not in answer.headers
    assert "not known here" in answer.text and 'role="alert"' in answer.text


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\/evil.example", "/a\nb", "javascript:1", ""],
)
def test_nobody_is_sent_elsewhere(guarded: Guarded, target: str) -> None:
    answer = browser(guarded).post("/sign-in", data={"token": guarded.tokens[ADMIN], "next": target}, headers=OWN)
    assert answer.headers["location"].startswith("/console/")
    assert "evil" not in browser(guarded).get("/sign-in", params={"next": target}).text


def test_what_is_asked_for_is_shown_as_text(guarded: Guarded) -> None:
    page = browser(guarded).get('/sign-in?next=/"><script>alert(1)</script>')
    assert page.status_code == 200 and "<script" not in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "OWN"}, 200),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_pages_of_others_change_nothing(guarded: Guarded, headers: dict[str, str], status: int) -> None:
    """Cross-site request forgery: to the API, and to the forms."""
    headers = {name: guarded.server.url if value == "OWN" else value for name, value in headers.items()}
    client = signed_in(guarded)
    made = client.post(f"/{DATASETS}?datasetId=second", headers=headers).status_code
    assert made in ((200, 409) if status == 200 else (403,))
    left = client.post("/sign-out", headers=headers).status_code
    assert left == (303 if status == 200 else 403)
    asked = browser(guarded).post("/sign-in", data={"token": guarded.tokens[ADMIN]}, headers=headers).status_code
    assert asked == (303 if status == 200 else 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({}, 200),
    ],
)
def test_pages_of_others_show_nothing(guarded: Guarded, headers: dict[str, str], status: int) -> None:
    assert signed_in(guarded).get(f"/{DATASETS}/d", headers=headers).status_code == status


def test_a_header_goes_before_the_session(guarded: Guarded) -> None:
    client = signed_in(guarded)
    headers = {"authorization": f"Bearer {guarded.tokens['bob']}"}
    assert client.get(f"/{DATASETS}/d", headers=headers).status_code == 403
    assert client.get(f"/{DATASETS}/d", headers={"authorization": "Bearer wrong-wrong-wrong"}).status_code == 401


def test_signing_out_ends_the_session_here(guarded: Guarded) -> None:
    client = signed_in(guarded)
    kept = client.cookies["gantry-session"]
    answer = client.post("/sign-out", headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert "gantry-session" not in client.cookies
    client.cookies.set("gantry-session", kept)
    assert client.get(f"/{DATASETS}/d").status_code == 401


def test_session_fixation_gives_nobody_the_session_of_another(guarded: Guarded) -> None:
    """A secret that somebody has put into a browser is never that of the session which begins there."""
    headers = OWN | {"cookie": "gantry-session=known-to-somebody-else"}
    answer = browser(guarded).post("/sign-in", data={"token": guarded.tokens[ADMIN]}, headers=headers)
    assert answer.status_code == 303 and len(answer.cookies["gantry-session"]) > 40
    other = browser(guarded)
    other.cookies.set("gantry-session", "known-to-somebody-else")
    assert other.get(f"/{DATASETS}/d").status_code == 401


def test_session_fixation_by_a_session_of_ones_own(guarded: Guarded) -> None:
    """The session of an attacker, planted in the browser of a victim, ends when the victim signs in."""
    attacker, victim = signed_in(guarded, "dora"), browser(guarded)
    planted = attacker.cookies["gantry-session"]
    headers = OWN | {"cookie": f"gantry-session={planted}"}
    answer = victim.post("/sign-in", data={"token": guarded.tokens[ADMIN]}, headers=headers)
    assert answer.status_code == 303 and answer.cookies["gantry-session"] != planted
    assert attacker.get(f"/{DATASETS}/d").status_code == 401


@pytest.mark.slow
def test_a_session_outlives_the_server_and_not_its_token(guarded: Guarded) -> None:
    client = signed_in(guarded, "dora")
    guarded.grant("projects/p", (STORES, "dora"))
    file = guarded.server.data.parent / "tokens"
    before = file.read_text()
    guarded.server.restart()
    assert client.get(f"/{DATASETS}/d/dicomStores/s").status_code == 200
    file.write_text(f"{guarded.tokens[ADMIN]} {member(ADMIN)}\n")
    guarded.server.restart()
    assert client.get(f"/{DATASETS}/d/dicomStores/s").status_code == 401
    file.write_text(f"{guarded.tokens[ADMIN]} {member(ADMIN)}\n{guarded.tokens['dora']} {member('carl')}\n")
    guarded.server.restart()
    assert client.get(f"/{DATASETS}/d/dicomStores/s").status_code == 401
    file.write_text(before)
    guarded.server.restart()


def test_a_page_sends_to_sign_in_and_back(guarded: Guarded) -> None:
    client = browser(guarded)
    page = f"/viewer/{DATASETS[3:]}/d/dicomStores/s/viewer?StudyInstanceUIDs=1.2.3"
    sent = client.get(page)
    assert sent.status_code == 303
    asked = client.get(sent.headers["location"])
    assert asked.status_code == 200 and page in asked.text
    assert client.get("/viewer/").headers["location"] == "/sign-in?next=%2Fviewer%2F"
    assert signed_in(guarded).get("/viewer/").status_code == 200


# At the issuer --------------------------------------------------------------------------------------------------------


def come_back(client: httpx.Client, target: str = "/viewer/") -> httpx.Response:
    """Through the issuer, as a browser goes."""
    sent = client.get("/sign-in/oidc", params={"next": target})
    assert sent.status_code == 303, sent.text
    back = httpx.get(sent.headers["location"])
    assert back.status_code == 302
    return client.get(back.headers["location"])


def test_the_issuer_says_who_it_is(guarded: Guarded) -> None:
    client = browser(guarded)
    assert 'href="/sign-in/oidc' in client.get("/sign-in").text
    answer = come_back(client, "/viewer/?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/viewer/?x=1")
    assert client.get(f"/{DATASETS}/d").status_code == 200  # ada of example.org is an administrator
    assert not any("asked" in name for name in client.cookies)


def test_groups_of_the_issuer_count(guarded: Guarded, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer, "token", lambda *a, **kw: Issuer.token(issuer, *a, **kw | {"email": "eve@other.org"}))
    client = browser(guarded)
    assert come_back(client).status_code == 303
    assert client.get(f"/{DATASETS}/d").status_code == 403
    policy = {"bindings": [{"role": "roles/healthcare.datasetViewer", "members": ["group:radiology"]}]}
    guarded.call("POST", f"{DATASETS}/d:setIamPolicy", json={"policy": policy})
    assert client.get(f"/{DATASETS}/d").status_code == 200


def test_answers_that_were_not_asked_for(guarded: Guarded, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's code, another's state, no state at all: a browser is not signed in as somebody else."""
    other, client = browser(guarded), browser(guarded)
    back = httpx.get(other.get("/sign-in/oidc").headers["location"]).headers["location"]
    assert client.get(back).status_code == 401
    mine = dict(parse_qsl(urlsplit(client.get("/sign-in/oidc").headers["location"]).query))
    code = dict(parse_qsl(urlsplit(back).query))["code"]
    assert client.get("/sign-in/callback", params={"code": code, "state": "wrong"}).status_code == 401
    own = dict(
        parse_qsl(urlsplit(httpx.get(client.get("/sign-in/oidc").headers["location"]).headers["location"]).query)
    )
    answer = client.get("/sign-in/callback", params={"code": own["code"], "state": f"{own['state']}x"})
    assert answer.status_code == 401 and "does not belong to a sign-in of this browser" in answer.text
    mine = dict(parse_qsl(urlsplit(client.get("/sign-in/oidc").headers["location"]).query))
    answer = client.get("/sign-in/callback", params={"code": code, "state": mine["state"]})
    assert answer.status_code == 401 and "refuses" in answer.text
    for query in ("", "?state=-&code=x", "?state=&code="):
        assert client.get(f"/sign-in/callback{query}").status_code == 401
    assert not any("session" in name for name in client.cookies)
    monkeypatch.setattr(issuer, "token", lambda *a, **kw: Issuer.token(issuer, *a, **kw | {"nonce": "other"}))
    answer = come_back(client)
    assert answer.status_code == 401 and "not for this sign-in" in answer.text


def test_what_an_address_says_for_the_issuer_is_not_shown(guarded: Guarded) -> None:
    client = browser(guarded)
    state = dict(parse_qsl(urlsplit(client.get("/sign-in/oidc").headers["location"]).query))["state"]
    said = {"error": "access_denied", "error_description": "call this number"}
    answer = client.get("/sign-in/callback", params={"state": state} | said)
    assert answer.status_code == 401 and "refused it" in answer.text and "this number" not in answer.text
    assert "call this number" in guarded.server.log_text()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("access_denied", "you or the issuer refused it"),
        ("unauthorized_client", "this server may not request a sign-in there"),
        ("invalid_request", "it refuses the request"),
        ("invalid_request_object", "it refuses the request"),
        ("unsupported_response_type", "it does not issue codes"),
        ("invalid_scope", "it does not give e-mail and profile"),
        ("server_error", "it has an internal error"),
        ("temporarily_unavailable", "it is busy"),
        ("interaction_required", "sign in there first"),
        ("login_required", "sign in there first"),
        ("consent_required", "give it there first"),
        ("account_selection_required", "choose an account"),
    ],
)
def test_each_error_of_the_issuer_has_its_reason(issuer: Issuer, code: str, reason: str) -> None:
    """RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6."""
    known = publishing.Issuer(issuer.url)
    sign_in = OidcSignIn(known, "console", "", "http://localhost/sign-in/callback", OidcTokens(known, "gantry"))
    _, request = sign_in.begin()
    with pytest.raises(Unauthenticated) as refused:
        sign_in.finish(request, {"state": request.state, "error": code})
    assert reason in refused.value.message


def test_no_more_than_four_wait_for_the_issuer_at_a_time(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes meanwhile is told at once to try again, for each that waits occupies a thread."""
    known = publishing.Issuer(issuer.url)
    sign_in = OidcSignIn(known, "console", "", "http://localhost/sign-in/callback", OidcTokens(known, "gantry"))
    known.find_endpoint("token_endpoint")
    waiting, answered = threading.Barrier(5), threading.Event()

    def fetch(*_: object) -> dict[str, object]:
        waiting.wait(20)
        answered.wait(20)
        raise PermissionDenied("the issuer refuses")

    def finish() -> Principal:
        _, request = sign_in.begin()
        return sign_in.finish(request, {"state": request.state, "code": "1"})

    monkeypatch.setattr("gantry.access.sign_in.fetch_json", fetch)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(2):  # those that have their answer make room for others
            four = [threads.submit(finish) for _ in range(4)]
            waiting.wait(60)
            with pytest.raises(Unavailable, match="try again") as busy:
                finish()
            assert busy.value.retry_after == 2
            answered.set()
            for each in four:
                with pytest.raises(Unauthenticated, match="refuses the sign-in"):
                    each.result(60)
            answered.clear()


@pytest.mark.slow
def test_an_issuer_that_is_away(guarded: Guarded, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded.server.restart()  # it has not been asked yet
    monkeypatch.setattr(issuer, "down", True)
    answer = browser(guarded).get("/sign-in/oidc")
    monkeypatch.undo()
    guarded.server.restart()  # it remembers the failure for some seconds, which is not for other tests
    assert answer.status_code == 503 and "cannot be reached" in answer.text
    assert 'name="token"' in answer.text
