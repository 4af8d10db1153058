"""Keys of service accounts, and whose signature is good for what (RFC 7523 §3; spec §12.3, §12.4.6)."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from gantry.access import reloading
from gantry.access.key_files import KeyFiles
from gantry.access.service_accounts import ServiceAccounts
from gantry.errors import InvalidArgument, NotFound, Unauthenticated

URL = "http://127.0.0.1:8080"
Key = dict[str, Any]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "SECONDS", 0)


@pytest.fixture
def accounts(tmp_path: Path) -> ServiceAccounts:
    return ServiceAccounts(KeyFiles(tmp_path / "accounts"), (URL, f"{URL}/", f"{URL}/token"))


@pytest.fixture
def key(accounts: ServiceAccounts) -> Key:
    return accounts.create("pacs", "hospital", f"{URL}/token")


def signed(key: Key, headers: dict[str, Any] | None = None, algorithm: str = "RS256", **claims: Any) -> str:
    """As google-auth signs: with a kid, for an hour. A claim of None is left out."""
    now = int(time.time())
    email = key["client_email"]
    made = {"iss": email, "sub": email, "iat": now, "exp": now + 3600, "aud": f"{URL}/token"} | claims
    kept = {name: value for name, value in made.items() if value is not None}
    headers = {"kid": key["private_key_id"]} if headers is None else headers
    return jwt.encode(kept, key["private_key"], algorithm, headers=headers)


def test_a_key_file_is_what_clients_read(key: Key, tmp_path: Path) -> None:
    assert (key["type"], key["client_email"]) == ("service_account", "pacs@hospital.iam.gantry")
    assert key["token_uri"] == f"{URL}/token"
    (kept,) = (tmp_path / "accounts").glob("*.json")
    assert "PRIVATE" not in kept.read_text() and json.loads(kept.read_text())["email"] == key["client_email"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "accounts").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "audience",
    [f"{URL}/token", "https://oauth2.googleapis.com/token", "https://www.googleapis.com/oauth2/v4/token"],
)
@pytest.mark.parametrize("headers", [None, {}])
def test_an_assertion_becomes_a_token(accounts: ServiceAccounts, key: Key, audience: str, headers: Any) -> None:
    """Python's and Node's clients write Google's own endpoint for the audience; Node's no kid."""
    answer = accounts.exchange(signed(key, headers, aud=audience, sub=None, scope="x"))
    assert (answer["expires_in"], answer["token_type"]) == (3600, "Bearer")
    found = accounts.authenticate(answer["access_token"])
    assert found is not None and found.name == "serviceAccount:pacs@hospital.iam.gantry"


@pytest.mark.parametrize("audience", [None, URL, f"{URL}/", "https://healthcare.googleapis.com/", ["other", URL]])
def test_what_an_account_signs_itself_is_good_too(accounts: ServiceAccounts, key: Key, audience: Any) -> None:
    found = accounts.authenticate(signed(key, aud=audience))
    assert found is not None and found.name == "serviceAccount:pacs@hospital.iam.gantry"


IN = 4_000_000_000
"""Stands for the time at which a test runs: what is collected may run an hour later."""


def _later(value: Any) -> Any:
    if isinstance(value, str) and value.isdecimal():
        return str(_later(int(value)))
    return value - IN + int(time.time()) if type(value) is int and value > IN - 100_000 else value


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": None}, "iat"),
        ({"iat": IN + 600}, "not yet valid"),
        ({"exp": IN + 86_400}, "3600 seconds at most"),
        ({"exp": IN + 3600 + 120}, "3600 seconds at most"),
        ({"iat": IN - 7200, "exp": IN - 90}, "expired"),
        ({"iat": "x"}, "claim iat is not a number|malformed"),
        ({"exp": f"{IN}"}, "claim exp is not a number"),
        ({"sub": "somebody@example.org"}, "sub"),
        ({"aud": "https://storage.googleapis.com/"}, "not for this server"),
        ({"aud": ["https://storage.googleapis.com/", {}]}, "not for this server"),
        ({"aud": []}, "not for this server"),
        ({"iss": "other@hospital.iam.gantry", "sub": None}, "no key"),
    ],
)
def test_claims_that_are_refused(accounts: ServiceAccounts, key: Key, claims: dict[str, Any], words: str) -> None:
    token = signed(key, **{name: _later(value) for name, value in claims.items()})
    for use in (accounts.exchange, accounts.authenticate):
        with pytest.raises(Unauthenticated, match=words):
            use(token)


def test_a_token_endpoint_wants_an_audience(accounts: ServiceAccounts, key: Key) -> None:
    with pytest.raises(Unauthenticated, match="not for this server"):
        accounts.exchange(signed(key, aud=None))


def forged(key: Key, other: Key) -> list[str]:
    """Another's signature, none, a secret that is the public key, a claim of being ours, a changed payload."""
    claims = {"iss": key["client_email"], "iat": int(time.time()), "exp": int(time.time()) + 60, "aud": URL}
    kid = {"kid": key["private_key_id"]}
    good = signed(key).split(".")
    return [
        jwt.encode(claims, other["private_key"], "RS256", headers=kid),
        jwt.encode(claims, None, "none", headers=kid),
        jwt.encode(claims, "a-secret-that-is-long-enough-for-a-hash", "HS256", headers=kid),
        jwt.encode(claims | {"sub": key["client_email"]}, "x" * 32, "HS256", headers={"kid": "gantry"}),
        ".".join((good[0], signed(key, exp=int(time.time()) + 3599).split(".")[1], good[2])),
        ".".join((*good[:2], "")),
    ]


@pytest.mark.parametrize("number", range(6))
def test_forged_tokens(accounts: ServiceAccounts, key: Key, number: int) -> None:
    token = forged(key, accounts.create("other", "hospital", URL))[number]
    for use in (accounts.authenticate, accounts.exchange):
        with pytest.raises(Unauthenticated):
            use(token)


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "the-token-of-bob", "." * 1000, f"{'W' * 40_000}.e30.x", "eyJhbGciOiJub25lIn0.e30."]
)
def test_tokens_of_another_kind(accounts: ServiceAccounts, key: Key, token: str) -> None:
    assert accounts.authenticate(token) is None
    with pytest.raises(Unauthenticated):
        accounts.exchange(token)


def test_a_key_that_is_deleted_takes_its_tokens_with_it(accounts: ServiceAccounts, key: Key) -> None:
    token = accounts.exchange(signed(key))["access_token"]
    other = accounts.create("pacs", "hospital", URL)
    accounts.delete(key["private_key_id"])
    with pytest.raises(Unauthenticated, match="has been deleted"):
        accounts.authenticate(token)
    with pytest.raises(Unauthenticated, match="no key"):
        accounts.exchange(signed(key))
    assert accounts.exchange(signed(other))


def test_tokens_outlive_the_process(accounts: ServiceAccounts, key: Key, tmp_path: Path) -> None:
    token = accounts.exchange(signed(key))["access_token"]
    assert ServiceAccounts(KeyFiles(tmp_path / "accounts")).authenticate(token) is not None
    other = ServiceAccounts(KeyFiles(tmp_path / "elsewhere"))
    with pytest.raises(Unauthenticated):
        other.authenticate(token)


@pytest.mark.parametrize("use", [lambda it: it.create("../x", "p", URL), lambda it: it.create("ok", "a/b", URL)])
def test_names_that_are_none(accounts: ServiceAccounts, use: Callable[[ServiceAccounts], Any]) -> None:
    with pytest.raises(InvalidArgument):
        use(accounts)


@pytest.mark.parametrize("what", ["name", "project"])
def test_names_have_at_most_63_characters(accounts: ServiceAccounts, what: str) -> None:
    """As the message says, and as an address has in one label (RFC 1035 §2.3.4)."""
    longest = {"name": "archive", "project": "p", what: "a" * 63}
    assert accounts.create(**longest, token_uri=URL)["client_email"].count("a" * 63) == 1
    with pytest.raises(InvalidArgument, match="2 to 63"):
        accounts.create(**{**longest, what: "a" * 64}, token_uri=URL)


@pytest.mark.parametrize("key_id", ["", "..", "../secret", "0" * 40, "x" * 40])
def test_keys_that_are_not_there(accounts: ServiceAccounts, key: Key, key_id: str) -> None:
    with pytest.raises(NotFound):
        accounts.delete(key_id)


def test_a_file_that_is_no_key_is_told_of(
    accounts: ServiceAccounts, key: Key, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "accounts" / "x.json").write_text("{}")
    assert [each.email for each in accounts.list()] == [key["client_email"]]
    assert "x.json" in caplog.text
