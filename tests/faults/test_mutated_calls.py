"""Mutated calls of every method against a live server that asks who is calling: no 500, no growth (spec §1, §12)."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicomweb.instances import instance
from tests.support.access import ADMIN, Guarded, member
from tests.support.mutated_calls import DATASET, STORE, UIDS, Calls, takes_the_ground_away


def memory(guarded: Guarded) -> int:
    """MB of the server's own process."""
    text = Path(f"/proc/{guarded.server.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) >> 10


def send(guarded: Guarded, count: int, seed: int) -> dict[int, int]:
    """Answers by status."""
    answer = guarded.server.request(
        "POST", "sign-in", data={"token": guarded.tokens[ADMIN]}, headers={"sec-fetch-site": "same-origin"}
    )
    cookie = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    calls = Calls(seed, guarded.tokens, cookie)
    found: dict[int, int] = {}
    connection = http.client.HTTPConnection("127.0.0.1", guarded.server.port, timeout=60)
    before = 0
    for number in range(count):
        verb, path, headers, body = calls.call()
        if takes_the_ground_away(verb, path, headers):
            continue
        try:
            connection.request(verb, path, body or None, headers)
            response = connection.getresponse()
            data = response.read()
        except (http.client.HTTPException, ConnectionError):
            connection.close()  # the server may hang up on what is no HTTP
            found[0] = found.get(0, 0) + 1
            continue
        assert response.status < 500 or response.status == 501, (response.status, verb, path, headers, body, data)
        found[response.status] = found.get(response.status, 0) + 1
        if number == count // 4:
            before = memory(guarded)
    print(found, f"{before} MB, then {memory(guarded)} MB", file=sys.stderr)
    assert memory(guarded) < before + 30
    return found


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """With a project that has a dataset, a store and an instance; operations have little to do."""
    made = Guarded(tmp_path, "bob", GANTRY_MAX_OPERATIONS="50", GANTRY_AUDIT_LOG=str(tmp_path / "audit.jsonl"))
    made.call("POST", "v1/projects/p/locations/us-central1/datasets?datasetId=d")
    made.call("POST", f"v1/{DATASET}/dicomStores?dicomStoreId=s")
    bucket = made.server.buckets / "b"
    bucket.mkdir()
    (bucket / "1.dcm").write_bytes(instance(UIDS))
    (bucket / "filter.txt").write_text(f"/studies/{UIDS[0]}\n")
    made.grant(STORE, ("roles/healthcare.dicomViewer", "bob"))
    yield made
    assert "Traceback" not in made.server.log_text(), made.server.log_text()[-3000:]
    assert member(ADMIN) not in made.server.log_text()
    made.server.stop()


@pytest.mark.slow
def test_some_mutated_calls(guarded: Guarded) -> None:
    found = send(guarded, 3000, 1)
    assert min(found.get(status, 0) for status in (200, 400, 401, 403, 404)) > 30, found


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3000)
def test_a_hundred_thousand_mutated_calls(guarded: Guarded) -> None:
    found = send(guarded, 100_000, 2)
    assert min(found.get(status, 0) for status in (200, 400, 401, 403, 404)) > 1000, found
