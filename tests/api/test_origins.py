"""A server that asks nobody is for this machine: not for pages from elsewhere that a browser shows on it."""

from __future__ import annotations

import http.client

import pytest

from gantry.api.origins import Origins
from gantry.errors import PermissionDenied
from tests.support.gantry import Gantry


def ask(gantry: Gantry, verb: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", gantry.server.port)
    connection.putrequest(verb, f"/v1/{gantry.dataset}", skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value.replace("PORT", str(gantry.server.port)))
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(
    "host", ["127.0.0.1:PORT", "localhost:PORT", "localhost", "[::1]:PORT", "gantry.localhost", "LOCALHOST"]
)
def test_names_of_this_machine(gantry: Gantry, host: str) -> None:
    assert ask(gantry, "GET", host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "127.0.0.1.evil.example",
        "169.254.169.254",
        "0.0.0.0",
        "localhost.evil.example",
    ],
)
def test_a_name_that_somebody_has_led_here(gantry: Gantry, host: str) -> None:
    """DNS rebinding: the page of evil.example would be of the same origin as what it reads."""
    assert ask(gantry, "GET", host=host) == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:PORT", 200),
        ("http://localhost:3000", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost.evil.example", 403),
    ],
)
def test_a_page_from_elsewhere_changes_nothing(gantry: Gantry, origin: str, status: int) -> None:
    assert ask(gantry, "GET", host="127.0.0.1:PORT", origin=origin) == 200
    assert ask(gantry, "PATCH", host="127.0.0.1:PORT", origin=origin) == status


def test_the_address_that_clients_see() -> None:
    origins = Origins("https://pacs.example.org/gantry")
    origins.require_local("POST", {"host": "pacs.example.org", "origin": "https://pacs.example.org"})
    with pytest.raises(PermissionDenied, match=r"other\.example\.org"):
        origins.require_local("GET", {"host": "other.example.org"})
    with pytest.raises(PermissionDenied, match="cannot change"):
        origins.require_local("POST", {"host": "pacs.example.org", "origin": "https://other.example.org"})
