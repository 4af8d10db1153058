"""Mutated requests against a live server: whatever is sent, no 500 and no traceback (PS3.18 §8.5)."""

from __future__ import annotations

import http.client
import sys

import pytest

from tests.dicomweb.mutations import line, prepare
from tests.support.gantry import Gantry


def send(gantry: Gantry, count: int, seed: int) -> dict[int, int]:
    """Answers by status."""
    mutations = prepare(gantry, seed)
    found: dict[int, int] = {}
    connection = http.client.HTTPConnection("127.0.0.1", gantry.server.port, timeout=60)
    for _ in range(count):
        verb, address, headers, body = line(mutations)
        try:
            connection.request(verb, address, body or None, headers)
            response = connection.getresponse()
            response.read()
        except (http.client.HTTPException, ConnectionError):
            # The server may hang up on what is no HTTP; it must take the next connection.
            connection.close()
            found[0] = found.get(0, 0) + 1
            continue
        assert response.status < 500, (response.status, verb, address, headers)
        found[response.status] = found.get(response.status, 0) + 1
    return found


@pytest.mark.slow
def test_some_mutated_requests(gantry: Gantry) -> None:
    found = send(gantry, 2000, 1)
    refused = sum(count for status, count in found.items() if status >= 400)
    assert found.get(200, 0) > 200 and refused > 400 and found.get(400, 0) > 50, found


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_mutated_requests(gantry: Gantry) -> None:
    found = send(gantry, 100_000, 2)
    print(found, file=sys.stderr)
    assert min(found.get(status, 0) for status in (200, 204, 400, 404, 406, 409)) > 200, found
