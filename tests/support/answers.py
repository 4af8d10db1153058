"""What answers must look like."""

from __future__ import annotations

import httpx

from tests.support.server import Json

HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
}


def refused(response: httpx.Response, status: str, *words: str, http: int = 0) -> Json:
    """Check an error answer (§1.19): HTTP status, body shape, content type, words in the message. Its ``error``.

    ``http``: the HTTP status where it is not the usual one of ``status``.
    """
    http = http or HTTP_STATUS[status]
    assert response.status_code == http, f"{response.status_code} {response.text[:2000]}"
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    body = response.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() - {"details"} == {"code", "message", "status"}
    assert (error["code"], error["status"]) == (http, status)
    for word in words:
        assert word in error["message"], error["message"]
    return error


def violated_field(error: Json) -> str:
    """The field that a ``google.rpc.BadRequest`` detail names (§1.10)."""
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    (violation,) = detail["fieldViolations"]
    assert violation["description"]
    return violation["field"]
