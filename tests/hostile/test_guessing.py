"""Credentials of somebody else's list, or tried by a program one after the other (CWE-307; OWASP ASVS 2.2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.support.access import ADMIN, Guarded
from tests.support.issuer import AUDIENCE, Issuer

ENOUGH = 200
"""Wrong ones. Whatever the limit is, a person does not come to so many."""

OWN = {"sec-fetch-site": "same-origin"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def guarded(tmp_path: Path, issuer: Issuer) -> Iterator[Guarded]:
    """As it is without any setting about attempts."""
    made = Guarded(tmp_path, GANTRY_OIDC_ISSUER=issuer.url, GANTRY_OIDC_AUDIENCE=AUDIENCE)
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def sign_in(guarded: Guarded, token: str) -> httpx.Response:
    return guarded.server.request("POST", "sign-in", data={"token": token}, headers=OWN)


def exchange(guarded: Guarded, token: str) -> httpx.Response:
    form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": JWT}
    return guarded.server.request("POST", "token", data=form)


@pytest.mark.slow
def test_at_the_page_where_people_sign_in(guarded: Guarded) -> None:
    right = sign_in(guarded, guarded.tokens[ADMIN])
    assert right.status_code == 303, "who has the right one is not counted"
    answers = [sign_in(guarded, f"the-token-of-{number}") for number in range(ENOUGH)]
    limited(answers, wrong=401)
    late = sign_in(guarded, guarded.tokens[ADMIN])
    assert late.status_code == 429 and "set-cookie" not in late.headers, "the right one is not found out either"
    assert guarded.request(ADMIN, "GET", "v1/projects/p/locations").status_code == 200, "calls with a token go on"


@pytest.mark.slow
def test_where_tokens_are_exchanged(guarded: Guarded, issuer: Issuer) -> None:
    numbers = count()
    answers = [exchange(guarded, issuer.token(exp=1, sub=f"guess-{next(numbers)}")) for _ in range(ENOUGH)]
    limited(answers, wrong=400)
    late = exchange(guarded, issuer.token())
    assert late.status_code == 429 and "access_token" not in late.text


def limited(answers: list[httpx.Response], wrong: int) -> None:
    """All are refused as wrong at first, and without a look at them after a while; the answer says how long."""
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {wrong, 429} and statuses[0] == wrong, sorted(set(statuses))
    first = statuses.index(429)
    assert 3 <= first < ENOUGH // 2
    assert statuses[first:].count(429) > len(statuses[first:]) // 2
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 429)
