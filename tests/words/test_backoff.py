"""What failed is tried again less and less often, and at once after a success."""

from __future__ import annotations

import time

import pytest

from gantry.backoff import Backoff


def test_what_fails_again_waits_twice_as_long_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    backoff, waits = Backoff(first=5, longest=30), (5, 10, 20, 30, 30)
    for number, seconds in enumerate(waits):
        assert backoff.is_due("a") and backoff.fail("a") is (number == 0)
        now += seconds - 1
        assert not backoff.is_due("a") and backoff.is_due("b")
        now += 1
    assert backoff.count == 1
    backoff.fail("a")
    backoff.succeed("b")
    assert not backoff.is_due("a")
    backoff.succeed("a")
    assert backoff.is_due("a") and backoff.count == 0 and backoff.fail("a")


def test_no_more_names_are_remembered_than_are_allowed() -> None:
    backoff = Backoff(most=2)
    assert [backoff.fail(name) for name in ("a", "b", "c", "c")] == [True] * 4
    assert backoff.count == 2 and backoff.is_due("c") and not backoff.is_due("b")
