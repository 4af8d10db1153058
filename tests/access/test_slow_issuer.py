"""An issuer that is slow, or gone: whoever does not need it is served, whoever needs it is answered at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gantry.access import fetching, refreshing
from gantry.access.fetching import fetch_json
from gantry.access.refreshing import Refreshed
from gantry.errors import PermissionDenied, Unavailable
from tests.notifications.test_requests import dribbling
from tests.support.access import ADMIN, Guarded
from tests.support.issuer import Issuer

pytestmark = pytest.mark.slow

GENEROUS = 8.0  # seconds; behind a lock 60 callers took minutes
DATASETS = "v1/projects/p/locations/us-central1/datasets"


class Source:
    """Something to fetch, that can be held and can fail."""

    def __init__(self) -> None:
        self.go, self.fetches, self.failing = threading.Event(), 0, False

    def fetch(self) -> int:
        self.fetches += 1
        self.go.wait(60)
        if self.failing:
            raise Unavailable("gone")
        return self.fetches


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.go.set()


def test_only_a_few_wait_for_a_fetch(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 callers at once; one fetch serves them all."""
    monkeypatch.setattr(refreshing, "PATIENCE", 60.0)
    held, refused = Refreshed("issuer", source.fetch), threading.Semaphore(0)

    def ask(_: int) -> int:
        try:
            return held.get()
        except Unavailable as error:
            refused.release()
            return -error.retry_after

    with ThreadPoolExecutor(60) as pool:
        calls = pool.map(ask, range(60))
        for _ in range(60 - refreshing.MAX_WAITING):
            assert refused.acquire(timeout=30)
        source.go.set()
        assert sorted(calls) == [-1] * (60 - refreshing.MAX_WAITING) + [1] * refreshing.MAX_WAITING
    assert source.fetches == 1


def test_a_slow_fetch_is_waited_for_once(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience counts from the beginning of the fetch: who comes later is answered without waiting."""
    held = Refreshed("issuer", source.fetch)
    monkeypatch.setattr(refreshing, "PATIENCE", 0.05)
    with pytest.raises(Unavailable):
        held.get()
    assert held._running is not None
    monkeypatch.setattr(held._running, "wait", None)  # whoever calls it fails
    for _ in range(20):
        with pytest.raises(Unavailable):
            held.get()
    assert source.fetches == 1


def test_a_failure_is_remembered(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.go.set()
    source.failing = True
    held = Refreshed("issuer", source.fetch)
    for _ in range(20):
        with pytest.raises(Unavailable) as refused:
            held.get()
        assert 1 <= refused.value.retry_after <= refreshing.FAILURE_PAUSE
    assert source.fetches == 1
    monkeypatch.setattr(refreshing, "FAILURE_PAUSE", 0.0)
    source.failing = False
    assert held.get() == 2


def test_a_system_without_threads_left_is_asked_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that could not begin is not one that runs for ever."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    source.go.set()
    held = Refreshed("issuer", source.fetch)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            held.get()
    assert held.get() == 1


def test_what_is_known_stays_good_while_it_is_fetched_anew(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.go.set()
    held = Refreshed("issuer", source.fetch)
    assert held.get() == 1
    source.go.clear()
    monkeypatch.setattr(refreshing, "FRESH", -1.0)
    monkeypatch.setattr(refreshing, "PAUSE", 0.0)
    monkeypatch.setattr(refreshing, "PATIENCE", 60.0)
    assert [held.get() for _ in range(5)] == [1] * 5
    assert source.fetches == 2


def test_nobody_knows_what_is_missing_until_it_was_looked_for(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is not known is the caller's fault only when the newest keys are here."""
    source.go.set()
    held = Refreshed("issuer", source.fetch)
    assert held.get(lambda value: value > 5) == 1
    assert held.get(lambda value: value > 5) == 1 and source.fetches == 1, "not again within half a minute"
    monkeypatch.setattr(refreshing, "PAUSE", 0.0)
    source.failing = True
    with pytest.raises(Unavailable):
        held.get(lambda value: value > 5)
    assert held.get() == 1


def test_what_nobody_foresaw_ends_no_thread_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    def fetch() -> int:
        raise ZeroDivisionError

    with pytest.raises(Unavailable):
        Refreshed("issuer", fetch).get()
    assert "issuer cannot be fetched" in caplog.text


# One request ----------------------------------------------------------------------------------------------------------


def test_answers_are_bounded(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer.answer = {"keys": ["x" * 100_000]}
    assert fetch_json(f"{issuer.url}/keys") == issuer.answer
    assert fetching.MAX_BYTES == 1 << 20
    issuer.answer = {"keys": ["x" * (1 << 20)]}
    with pytest.raises(Unavailable, match="more than 1048576 bytes"):
        fetch_json(f"{issuer.url}/keys")
    monkeypatch.setattr(fetching, "MAX_SECONDS", -1.0)
    with pytest.raises(Unavailable, match="takes longer"):
        fetch_json(f"{issuer.url}/keys")


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nx-a: b\r\n"])
def test_headers_that_come_byte_by_byte_are_waited_for_no_longer_than_the_whole_answer(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    """Else each of those who sign in would keep a thread."""
    monkeypatch.setattr(fetching, "MAX_SECONDS", 0.5)
    with dribbling(0.02, before) as url, pytest.raises(Unavailable, match="takes longer than"):
        fetch_json(f"{url}/keys")


def test_no_redirect_is_followed(issuer: Issuer) -> None:
    """An issuer's address is checked when it is read; where it sends to could be any."""
    asked = f"{issuer.url}/authorization?redirect_uri={issuer.url}/keys&state=x"
    with pytest.raises(Unavailable, match="status 302"):
        fetch_json(asked)
    assert len(issuer.asked) == 1


@pytest.mark.parametrize("answer", ["x", 3, None, []], ids=repr)
def test_what_is_no_object(issuer: Issuer, answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_read", lambda *_: fetching.json.dumps(answer).encode())
    with pytest.raises(Unavailable, match="JSON object"):
        fetch_json(f"{issuer.url}/keys")


@pytest.mark.parametrize("text", [b"", b"\xff", b"<html>", b"[" * 100_000])
def test_what_is_no_json(issuer: Issuer, text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_read", lambda *_: text)
    with pytest.raises(Unavailable, match="with JSON"):
        fetch_json(f"{issuer.url}/keys")


def test_what_an_issuer_refuses(issuer: Issuer) -> None:
    with pytest.raises(PermissionDenied, match="status 400"):
        fetch_json(f"{issuer.url}/token", {"code": "x"})
    with pytest.raises(Unavailable, match="does not answer"):
        fetch_json("http://127.0.0.1:1/keys")


# The server -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path, issuer: Issuer) -> Iterator[Guarded]:
    oidc = {"GANTRY_OIDC_ISSUER": issuer.url, "GANTRY_OIDC_AUDIENCE": "gantry", "GANTRY_OIDC_CLIENT_ID": "console"}
    made = Guarded(tmp_path, **oidc)
    yield made
    issuer.answering.set()
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def test_a_slow_issuer_stalls_nobody(guarded: Guarded, issuer: Issuer) -> None:
    """60 tokens with keys that are not known and 60 browsers that sign in, while the issuer says nothing."""
    good = {"authorization": f"Bearer {issuer.token()}"}
    assert guarded.server.request("GET", DATASETS, headers=good).status_code == 200
    issuer.private["unknown"] = issuer.private["rsa"]
    issuer.answering.clear()
    unknown = {"authorization": f"Bearer {issuer.token('unknown')}"}
    with httpx.Client(base_url=guarded.server.url, timeout=60) as client, ThreadPoolExecutor(120) as pool:
        began = time.monotonic()
        calls = [pool.submit(client.get, f"/{DATASETS}", headers=unknown) for _ in range(60)]
        calls += [pool.submit(client.get, "/sign-in/oidc") for _ in range(60)]
        for path, headers in (("/healthz", {}), (f"/{DATASETS}", good)):
            assert client.get(path, headers=headers).status_code == 200
        assert guarded.request(ADMIN, "GET", DATASETS).status_code == 200
        answers = [call.result() for call in calls]
        assert time.monotonic() - began < GENEROUS
    assert {answer.status_code for answer in answers} <= {401, 503}
    late = [answer for answer in answers if answer.status_code == 503]
    assert late and all(int(answer.headers["retry-after"]) >= 1 for answer in late)


def test_codes_are_redeemed_by_a_few_at_a_time(guarded: Guarded, issuer: Issuer) -> None:
    """Whoever comes back from the issuer holds a thread for as long as the issuer takes."""
    browsers = [httpx.Client(base_url=guarded.server.url, timeout=60) for _ in range(50)]
    backs = [httpx.get(each.get("/sign-in/oidc").headers["location"]).headers["location"] for each in browsers]
    issuer.answering.clear()
    with ThreadPoolExecutor(50) as pool:
        began = time.monotonic()
        calls = [pool.submit(each.get, back) for each, back in zip(browsers, backs, strict=True)]
        assert httpx.get(f"{guarded.server.url}/healthz", timeout=60).status_code == 200
        assert guarded.request(ADMIN, "GET", DATASETS).status_code == 200
        assert {call.result().status_code for call in calls} == {503}
        assert time.monotonic() - began < fetching.MAX_SECONDS + GENEROUS
    for each in browsers:
        each.close()
