"""Whoever waits for a call that hangs can be told to end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gantry import calls_that_hang
from gantry.calls_that_hang import call_hearing, find_check, hearing
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.retrying import Pace, retry
from tests.support.s3_server import S3Server


class Ended(Exception):
    pass


def end() -> None:
    raise Ended


def fail() -> None:
    raise ValueError("x")


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """A call that hangs waits for it."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.slow
def test_a_call_that_hangs_is_left_behind(hang: threading.Event) -> None:
    with pytest.raises(Ended):
        call_hearing(hang.wait, end)
    with pytest.raises(Ended), hearing(end):
        call_hearing(hang.wait)
    assert not hang.is_set() and find_check() is None


def test_a_call_that_ends_has_its_own_outcome() -> None:
    with hearing(end):
        assert call_hearing(lambda: 1) == 1
        with pytest.raises(ValueError, match="x"):
            call_hearing(fail)
    assert call_hearing(lambda: 2, end) == 2


def test_the_check_of_the_thread_comes_first_and_waits_until_a_call_hangs(
    hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cleaned up after a cancel needs calls of half a second, too."""
    monkeypatch.setattr(calls_that_hang, "LISTEN_SECONDS", 0.01)
    with hearing(end):
        assert call_hearing(lambda: hang.wait(0.2), fail) is False


def test_another_thread_hears_nothing() -> None:
    found: list[object] = []
    with hearing(end):
        thread = threading.Thread(target=lambda: found.append(find_check()))
        thread.start()
        thread.join()
    assert found == [None]


def test_who_waits_for_a_turn_hears(hang: threading.Event) -> None:
    pace = Pace(1)
    with pace.turn(), pytest.raises(Ended):
        retry(lambda: None, pace, end)
    assert retry(lambda: 1, pace, end) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exists", "head", "list", "list_folders", "require_mounted"])
def test_each_question_to_a_bucket_that_hangs_can_be_ended(bucket: RemoteBucket, s3: S3Server, name: str) -> None:
    acts = {
        "exists": bucket.exists,
        "head": lambda: bucket.head("a"),
        "list": lambda: list(bucket.list()),
        "list_folders": bucket.list_folders,
        "require_mounted": bucket.require_mounted,
    }
    bucket.client._failed_at = bucket.client._looked_at + 1
    with s3.fail("stall", seconds=20) as rule, hearing(end):
        with pytest.raises(Ended):
            acts[name]()
        assert rule.failed == 1 and s3.requests.statuses.total() == 0
