"""Guessing is slow: wrong credentials are counted by address and by account, and nobody else pays for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gantry.api import attempts
from gantry.api.attempts import FailedAttempts
from gantry.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from tests.support.access import ADMIN, Guarded, member
from tests.support.issuer import AUDIENCE, Issuer

OWN = {"sec-fetch-site": "same-origin"}
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


class Door:
    """Somebody tries credentials; the clock stands until it is moved."""

    def __init__(self, per_minute: int = 30) -> None:
        self.now = 1000.0
        self.attempts = FailedAttempts(per_minute, lambda scope: scope["address"], lambda: self.now)

    def attempt(self, address: str, account: str = "", error: Exception | None = None) -> str:
        try:
            with self.attempts.watch({"address": address}, account):
                if error is not None:
                    raise error
        except ResourceExhausted as refused:
            assert f"in {refused.retry_after} s" in refused.message
            return f"wait {refused.retry_after}"
        except (Unauthenticated, PermissionDenied):
            return "wrong"
        return "good"

    def fail(self, address: str, times: int, account: str = "") -> list[str]:
        return [self.attempt(address, account, Unauthenticated("x")) for _ in range(times)]


def test_so_many_may_fail_and_no_more() -> None:
    door = Door()
    assert door.fail("192.0.2.1", 31) == ["wrong"] * 30 + ["wait 2"]
    assert door.attempt("192.0.2.1") == "wait 2", "what is right is not looked at either, or guessing would go on"
    assert door.attempt("192.0.2.2") == "good"
    door.now += 2
    assert door.fail("192.0.2.1", 2) == ["wrong", "wait 2"]
    door.now += 60
    assert door.fail("192.0.2.1", 31) == ["wrong"] * 30 + ["wait 2"]


def test_what_is_good_is_not_counted() -> None:
    door = Door()
    assert {door.attempt("192.0.2.1", "ada") for _ in range(1000)} == {"good"}
    assert {door.attempt("192.0.2.1", "ada", PermissionDenied("x")) for _ in range(1000)} == {"wrong"}
    assert door.attempts._levels == {}


@pytest.mark.parametrize("by_account", [False, True])
def test_guesses_at_the_same_moment_are_no_more_than_the_limit(by_account: bool) -> None:
    """Each has begun before another has failed."""
    door, tried, lock = Door(per_minute=3), [], threading.Lock()
    door.fail("192.0.2.1", 1, "ada" if by_account else "")

    def guess(number: int) -> str:
        try:
            with door.attempts.watch({"address": "192.0.2.1"}, "ada" if by_account else ""):
                with lock:
                    tried.append(number)
                time.sleep(0.05)
                raise Unauthenticated("x")
        except ResourceExhausted:
            return "wait"
        except Unauthenticated:
            return "wrong"

    with ThreadPoolExecutor(12) as threads:
        assert sorted(threads.map(guess, range(12))) == ["wait"] * 10 + ["wrong"] * 2
    assert len(tried) == 2
    assert not door.attempts._running


def test_many_that_are_good_at_the_same_moment_are_all_served() -> None:
    door = Door(per_minute=2)
    door.fail("192.0.2.1", 1, "ada")

    def sign_in(number: int) -> str:
        with door.attempts.watch({"address": "192.0.2.1"}, "ada"):
            time.sleep(0.01)
        return "good"

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(sign_in, range(12))) == {"good"}
    assert not door.attempts._running


def test_any_number_where_the_setting_says_so() -> None:
    door = Door(per_minute=0)
    assert set(door.fail("192.0.2.1", 1000, "ada")) == {"wrong"}


def test_one_account_from_many_addresses() -> None:
    """Each fails once and is refused then; who has not failed, as the account's owner, is served."""
    door = Door()
    for number in range(40):
        assert door.fail(f"192.0.2.{number}", 1, "ada") == ["wrong"]
    assert door.attempt("192.0.2.1", "ada") != "good"
    assert door.attempt("192.0.2.1", "bob") == "good"
    assert door.attempt("198.51.100.1", "ada") == "good"


def test_attempts_without_an_account_are_counted_by_address_alone() -> None:
    door = Door()
    for number in range(40):
        with pytest.raises(Unauthenticated), door.attempts.watch({"address": f"192.0.2.{number}"}):
            raise Unauthenticated("x")
    with door.attempts.watch({"address": "192.0.2.1"}):
        pass  # one failure of its own, and none of others


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unknown", "unknown", True),
        ("", "unknown", False),
    ],
)
def test_what_one_address_is(one: str, other: str, same: bool) -> None:
    door = Door()
    door.fail(one, 30)
    assert (door.attempt(other) != "good") is same


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempts.MAX_KEYS == 10_000
    monkeypatch.setattr(attempts, "MAX_KEYS", 100)
    door = Door()
    for number in range(1000):
        door.fail(f"10.0.{number // 250}.{number % 250}", 1, f"account {number}" * 1000)
    assert len(door.attempts._levels) == 100
    assert max(map(len, door.attempts._levels)) <= 100


# The server -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path, issuer: Issuer) -> Iterator[Guarded]:
    oidc = {"GANTRY_OIDC_ISSUER": issuer.url, "GANTRY_OIDC_AUDIENCE": AUDIENCE}
    limits = {"GANTRY_FAILED_SIGN_INS_PER_MINUTE": "5", "GANTRY_TRUSTED_PROXIES": "127.0.0.1"}
    made = Guarded(tmp_path, **oidc, **limits)
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def sign_in(guarded: Guarded, address: str, token: str) -> httpx.Response:
    headers = OWN | {"x-forwarded-for": address}
    return guarded.server.request("POST", "sign-in", data={"token": token}, headers=headers)


@pytest.mark.one_process("the proxy says which address calls, whatever a client writes")
def test_sign_in_by_guessing(guarded: Guarded) -> None:
    right = guarded.tokens[ADMIN]
    assert [sign_in(guarded, "192.0.2.1", f"wrong-{number}").status_code for number in range(5)] == [401] * 5
    late = sign_in(guarded, "192.0.2.1", right)
    assert late.status_code == 429 and 1 <= int(late.headers["retry-after"]) <= 12
    assert "set-cookie" not in late.headers and "too many wrong credentials" in late.text
    assert sign_in(guarded, "192.0.2.2", right).status_code == 303
    forged = guarded.server.request(
        "POST", "sign-in", data={"token": right}, headers=OWN | {"x-forwarded-for": "192.0.2.9, 192.0.2.1"}
    )
    assert forged.status_code == 429, "what a client writes itself before the proxy does not count"
    call = guarded.request(ADMIN, "GET", "v1/projects/p/locations", headers={"x-forwarded-for": "192.0.2.1"})
    assert call.status_code == 200, "calls with a token go on"


@pytest.mark.one_process("the proxy says which address calls, whatever a client writes")
@pytest.mark.parametrize("grant", ["assertion", "exchange"])
def test_tokens_by_guessing(guarded: Guarded, issuer: Issuer, grant: str) -> None:
    def ask(address: str, token: str) -> httpx.Response:
        form: dict[str, Any] = {"grant_type": ASSERTION, "assertion": token}
        if grant == "exchange":
            form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": JWT}
        return guarded.server.request("POST", "token", data=form, headers={"x-forwarded-for": address})

    wrong = issuer.token(exp=1) if grant == "exchange" else issuer.token(iss=member("nobody"))
    first = [ask("192.0.2.1", wrong) for _ in range(5)]
    assert [(each.status_code, each.json()["error"]) for each in first] == [(400, "invalid_grant")] * 5
    late = ask("192.0.2.1", issuer.token())
    assert (late.status_code, late.json()["error"]) == (429, "temporarily_unavailable")
    assert 1 <= int(late.headers["retry-after"]) <= 12 and late.headers["cache-control"] == "no-store"
    if grant == "exchange":
        assert ask("192.0.2.2", issuer.token()).status_code == 200
    nothing = guarded.server.request(
        "POST", "token", data={"grant_type": "x"}, headers={"x-forwarded-for": "192.0.2.3"}
    )
    assert nothing.json()["error"] == "unsupported_grant_type"
