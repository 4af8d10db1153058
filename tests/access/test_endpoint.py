"""The token endpoint's grants, and its errors (RFC 6749 §5.2)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from gantry.api.attempts import FailedAttempts
from gantry.api.tokens import give_token
from gantry.errors import InvalidArgument, Unauthenticated, Unavailable


def context(answer: Any) -> Any:
    """Of a server whose endpoint gives or raises ``answer``."""

    def give(_form: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    endpoint = SimpleNamespace(issue=give, name_account=lambda form: "")
    return SimpleNamespace(
        access=SimpleNamespace(endpoint=endpoint, attempts=FailedAttempts(30, lambda _: "")), audit=None
    )


def ask(context: Any, body: bytes) -> Response:
    return give_token(context, Request({"type": "http", "path": "/token", "headers": []}), body)


@pytest.mark.parametrize(
    ("raised", "error"), [(InvalidArgument("x"), "unsupported_grant_type"), (Unauthenticated("x"), "invalid_grant")]
)
def test_what_is_wrong_with_a_request(raised: Exception, error: str) -> None:
    answer = ask(context(raised), b"grant_type=x")
    assert (answer.status_code, json.loads(bytes(answer.body))["error"]) == (400, error)


def test_an_issuer_that_is_away_is_no_fault_of_the_caller() -> None:
    with pytest.raises(Unavailable):
        ask(context(Unavailable("x")), b"grant_type=x")


def test_no_answer_is_kept_by_a_cache() -> None:
    answer = ask(context({"access_token": "t"}), b"grant_type=x")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize("body", [b"&".join(b"a%d=1" % number for number in range(1001)), b"a=1&a=2"])
def test_forms_that_are_refused(body: bytes) -> None:
    answer = ask(context({}), body)
    assert (answer.status_code, json.loads(bytes(answer.body))["error"]) == (400, "invalid_request")
