"""How many requests are in flight, and when one is tried again."""

from __future__ import annotations

import threading
import time

import pytest

from gantry.errors import BucketAway, Unavailable
from gantry.storage.remote import retrying
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.errors import Overloaded
from gantry.storage.remote.retrying import ATTEMPTS, OVERLOAD_ATTEMPTS, Pace, retry
from tests.seams.blob_store_suite import read
from tests.support.s3_server import S3Server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for, without waiting."""
    found: list[float] = []
    monkeypatch.setattr(retrying, "wait", lambda seconds, _: found.append(seconds))
    return found


class Failing:
    """Raises ``error`` so many times, then returns ``"done"``."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "done"


def test_pauses_grow_and_half_of_each_is_left_to_chance(waits: list[float]) -> None:
    assert retry(Failing(Unavailable("x"), ATTEMPTS - 1), Pace(4)) == "done"
    assert len(waits) == ATTEMPTS - 1
    for number, seconds in enumerate(waits):
        assert 0.1 * 2**number <= seconds <= 0.2 * 2**number
    more = [retry(Failing(Unavailable("x"), 1), Pace(4)) and waits.pop() for _ in range(20)]
    assert len(set(more)) > 10


@pytest.mark.parametrize(("error", "attempts"), [(Unavailable("x"), ATTEMPTS), (Overloaded("x"), OVERLOAD_ATTEMPTS)])
def test_the_last_error_is_raised(waits: list[float], error: Unavailable, attempts: int) -> None:
    act = Failing(error, 100)
    with pytest.raises(Unavailable):
        retry(act, Pace(4))
    assert act.calls == attempts and len(waits) == attempts - 1


@pytest.mark.parametrize("error", [BucketAway("x"), ValueError("x")])
def test_what_trying_again_does_not_mend_is_raised_at_once(waits: list[float], error: Exception) -> None:
    act = Failing(error, 1)
    with pytest.raises(type(error)):
        retry(act, Pace(4))
    assert (act.calls, waits) == (1, [])


def test_what_the_provider_asks_for_is_waited_for(waits: list[float]) -> None:
    assert retry(Failing(Overloaded("x", 7), 2), Pace(4)) == "done"
    assert waits == [7, 7]


def test_an_overload_halves_the_requests_once_for_all_that_were_in_flight() -> None:
    pace = Pace(64)
    began = time.monotonic()
    for _ in range(64):
        pace.note_overload(began)
    assert pace.limit == 32
    pace.note_overload(time.monotonic())
    assert pace.limit == 16
    for _ in range(20):
        pace.note_overload(time.monotonic())
    assert pace.limit == 1, "one request is always allowed"


def test_success_brings_the_requests_back_up_one_by_one() -> None:
    pace = Pace(8)
    pace.note_overload(time.monotonic())
    assert pace.limit == 4
    for _ in range(4):
        pace.note_success()
    assert 4.5 < pace.limit < 5.1
    for _ in range(100):
        pace.note_success()
    assert pace.limit == 8


def test_no_more_requests_are_in_flight_than_the_limit() -> None:
    pace, running, most, lock = Pace(3), 0, 0, threading.Lock()
    gate = threading.Barrier(3, timeout=30)

    def act() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait()
        with lock:
            running -= 1

    threads = [threading.Thread(target=retry, args=(act, pace)) for _ in range(9)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert most == 3


def test_a_request_that_fails_leaves_its_turn_to_others(waits: list[float]) -> None:
    pace = Pace(1)
    with pytest.raises(ValueError, match="x"):
        retry(Failing(ValueError("x"), 1), pace)
    assert retry(lambda: "done", pace) == "done"


def test_an_overloaded_server_is_asked_for_less_and_answers_in_the_end(
    bucket: RemoteBucket, s3: S3Server, waits: list[float]
) -> None:
    bucket.put("a", [b"bytes"])
    with s3.fail("503 SlowDown", methods=["GetObject"], times=4):
        assert read(bucket, "a") == b"bytes"
    assert len(waits) == 4 and bucket.client.pace.limit < 8


def test_a_bucket_that_goes_away_after_it_has_answered_is_noticed_with_the_first_object(
    bucket: RemoteBucket, s3: S3Server, waits: list[float]
) -> None:
    bucket.put("a", [b"bytes"])
    (found,) = bucket.list()
    with s3.fail("500 InternalError", methods=["GetObject"], times=ATTEMPTS), pytest.raises(Unavailable):
        bucket.open_found(found)
    bucket.require_mounted()
    with s3.fail("500 InternalError"):
        with pytest.raises(Unavailable):
            bucket.open_found(found)
        with pytest.raises(BucketAway, match="does not answer"):
            bucket.require_mounted()
    bucket.require_mounted()


def test_a_bucket_that_goes_away_is_no_error_of_the_object_that_was_asked_for(
    bucket: RemoteBucket, s3: S3Server, waits: list[float]
) -> None:
    """An import of one object, or a filter file, begins with its HEAD."""
    bucket.put("a", [b"bytes"])
    with s3.fail("500 InternalError"), pytest.raises(BucketAway, match="does not answer"):
        bucket.head("a")
    with s3.fail("500 InternalError", methods=["HeadObject"]), pytest.raises(Unavailable) as failed:
        bucket.head("a")
    assert not isinstance(failed.value, BucketAway)


def test_an_object_that_is_missing_costs_no_look_at_the_bucket(bucket: RemoteBucket, s3: S3Server) -> None:
    for _ in range(3):
        bucket.require_mounted()
    assert s3.requests.operations["ListObjectsV2"] == 0


def test_one_look_is_enough_for_all_objects_that_failed_before_it(
    bucket: RemoteBucket, s3: S3Server, waits: list[float]
) -> None:
    bucket.put("a", [b"bytes"])
    (found,) = bucket.list()
    with s3.fail("500 InternalError", methods=["GetObject"]):
        for _ in range(3):
            with pytest.raises(Unavailable):
                bucket.open_found(found)
        s3.reset_counts()
        for _ in range(3):
            bucket.require_mounted()
    assert s3.requests.operations["ListObjectsV2"] == 1
