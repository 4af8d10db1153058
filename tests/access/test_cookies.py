"""Cookies of browsers and how long sessions last, with the values themselves."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from gantry.access.issuer import Issuer
from gantry.api.access import Access
from gantry.api.attempts import FailedAttempts
from gantry.api.sessions import Sessions, local_path
from gantry.console import sign_in
from gantry.errors import Unavailable
from gantry.iam.policies import principal
from gantry.iam.sessions import Session

NOW = 1_800_000_000


class Index:
    def __init__(self) -> None:
        self.begun: list[tuple[bytes, Session, int]] = []

    def begin_session(self, key: bytes, session: Session, now: int) -> None:
        self.begun.append((key, session, now))


def begin(url: str, ends: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Session, str]:
    """The session that is kept, and the cookie."""
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    index, response = Index(), Response()
    seams = SimpleNamespace(index=SimpleNamespace(access=index))
    Sessions(url).begin(seams, principal("user:a@b.c", ends=ends), 12, {}, response)  # type: ignore[arg-type]
    ((key, session, now),) = index.begun
    cookie = response.headers["set-cookie"]
    assert now == NOW and len(key) == 32 and key.hex() not in cookie, "the index does not hold what the browser has"
    return session, cookie


@pytest.mark.parametrize(
    ("ends", "seconds"),
    [(float("inf"), 43_200), (NOW + 600.9, 600), (NOW + 43_199, 43_199), (NOW + 43_201, 43_200), (NOW + 1e9, 43_200)],
)
def test_a_session_ends_with_its_token(ends: float, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    session, cookie = begin("https://example.org", ends, monkeypatch)
    assert session.ends == NOW + seconds
    assert f"; Max-Age={seconds};" in cookie


@pytest.mark.parametrize(
    ("url", "attributes"),
    [
        ("https://example.org", {"HttpOnly", "Path=/", "SameSite=lax", "Secure"}),
        ("http://127.0.0.1:8080", {"HttpOnly", "Path=/", "SameSite=lax"}),
    ],
)
def test_what_a_browser_is_told_of_its_cookie(url: str, attributes: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``__Host-`` makes browsers refuse it without TLS, for a domain, or for a path (RFC 6265bis §4.1.3.2)."""
    _, cookie = begin(url, NOW + 600, monkeypatch)
    named, *rest = cookie.split("; ")
    name, _, value = named.partition("=")
    assert name == ("__Host-gantry-session" if url.startswith("https") else "gantry-session")
    assert len(value) == 43, "256 bits in base64"
    assert set(rest) == attributes | {"Max-Age=600"}


def access(url: str) -> Access:
    def begin() -> tuple[str, tuple[str, str, str]]:
        return "https://issuer.example.org/authorize", ("state", "nonce", "verifier")

    asking: Any = SimpleNamespace(begin=begin)
    return Access([], Sessions(url), FailedAttempts(30, lambda _: ""), sign_in=asking)


def test_what_waits_for_the_issuer_waits_in_a_cookie_like_it() -> None:
    scope = {"type": "http", "method": "GET", "path": "/sign-in/oidc", "query_string": b"", "headers": []}
    context: Any = SimpleNamespace(access=access("https://example.org"))
    cookie = sign_in.sign_in(context, Request(scope)).headers["set-cookie"]
    named, *rest = cookie.split("; ")
    assert named.startswith("__Host-gantry-asked=")
    assert set(rest) == {"HttpOnly", "Path=/", "SameSite=lax", "Secure", "Max-Age=600"}


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
@pytest.mark.parametrize("address", ["http://example.org/x", "javascript:alert(1)", "", None, 7, "//example.org"])
def test_no_secret_goes_to_an_address_without_tls(name: str, address: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code and the client's secret go there."""
    issuer = Issuer("https://issuer.example.org")
    monkeypatch.setattr(issuer, "_fetch_document", dict)
    monkeypatch.setattr(issuer._document, "get", lambda: {name: address})
    with pytest.raises(Unavailable, match=f"names no https address as {name}"):
        issuer.find_endpoint(name)
    monkeypatch.setattr(issuer._document, "get", lambda: {name: "https://issuer.example.org/x"})
    assert issuer.find_endpoint(name) == "https://issuer.example.org/x"


def test_the_longest_path_to_which_a_sign_in_leads_back() -> None:
    assert local_path("/" + "a" * 3999, "/console/") == "/" + "a" * 3999
    assert local_path("/" + "a" * 4000, "/console/") == "/console/"
