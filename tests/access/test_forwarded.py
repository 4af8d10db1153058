"""Who is behind a proxy: only what trusted ones have written counts."""

from __future__ import annotations

import pytest

from gantry.api.forwarded import Proxies

TRUSTED = ["10.0.0.0/8", "2001:db8::/32"]


def client(peer: str, *headers: tuple[str, str], trusted: list[str] = TRUSTED) -> str:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Proxies(trusted).client({"type": "http", "client": (peer, 1), "headers": raw})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], "10.0.0.1"),
        ([("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
        ([("x-forwarded-for", "evil, 1.1.1.1, 192.0.2.1, 10.0.0.2")], "192.0.2.1"),
        ([("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "10.0.0.2")], "192.0.2.1"),
        ([("x-forwarded-for", "10.9.9.9")], "10.9.9.9"),
        ([("x-forwarded-for", "192.0.2.1:443")], "192.0.2.1"),
        ([("x-forwarded-for", "secret-host")], "unknown"),
        ([("x-forwarded-for", "192.0.2.1, secret-host, 10.0.0.2")], "unknown"),
        ([("x-forwarded-for", ",,")], "10.0.0.1"),
        ([("forwarded", "for=192.0.2.1;proto=https, for=10.0.0.2")], "192.0.2.1"),
        ([("forwarded", 'for="[2001:db9::1]:4711"')], "2001:db9::1"),
        ([("forwarded", 'FOR=_hidden, for="[2001:db8::7]"')], "unknown"),
        ([("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "1.1.1.1, 192.0.2.1, 10.0.0.2")], "192.0.2.1"),
        ([("forwarded", "by=10.0.0.1"), ("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
        ([("forwarded", "by=10.0.0.1;host=x")], "10.0.0.1"),
        ([("x-forwarded-for", "192.0.2.1,")], "192.0.2.1"),
        ([("x-forwarded-for", "192.0.2.1, ,10.0.0.2 ,")], "192.0.2.1"),
        ([("x-forwarded-for", ", ".join(["192.0.2.1"] + ["10.0.0.3"] * 31))], "192.0.2.1"),
        ([("x-forwarded-for", ", ".join(["192.0.2.1"] + ["10.0.0.3"] * 32))], "10.0.0.3"),
        ([("x-forwarded-for", ", ".join(["10.0.0.3"] * 100))], "10.0.0.3"),
    ],
)
def test_behind_a_trusted_proxy(headers: list[tuple[str, str]], expected: str) -> None:
    assert client("10.0.0.1", *headers) == expected


@pytest.mark.parametrize("other", ["forwarded", "x-forwarded-for"])
def test_a_header_that_the_proxy_passes_on_is_not_believed(other: str) -> None:
    """A proxy that writes one of the two leaves the other as the client sent it."""
    written = {"forwarded": "for=192.0.2.1", "x-forwarded-for": "192.0.2.1"}
    invented = {"forwarded": "for=6.6.6.6", "x-forwarded-for": "6.6.6.6"}
    headers = written | {other: invented[other]}
    assert client("10.0.0.1", *headers.items()) == "10.0.0.1"


def test_nobody_else_is_believed() -> None:
    assert client("192.0.2.7", ("x-forwarded-for", "1.1.1.1")) == "192.0.2.7"
    assert client("10.0.0.1", ("x-forwarded-for", "1.1.1.1"), trusted=[]) == "10.0.0.1"
    assert client("a-socket", ("x-forwarded-for", "1.1.1.1")) == "a-socket"


def test_what_is_no_network() -> None:
    with pytest.raises(ValueError, match="proxy"):
        Proxies(["proxy"])
