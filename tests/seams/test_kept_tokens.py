"""When a token is renewed, and what happens where none comes."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.errors import BucketAway, Unavailable
from gantry.storage.remote import kept_tokens
from gantry.storage.remote.kept_tokens import KeptToken


class SignIn:
    """Gives out ``tokens`` one after the other: how many seconds each is good for, or why there is none."""

    def __init__(self, *tokens: float | Exception) -> None:
        self.tokens, self.asked = list(tokens), 0

    def renew(self) -> tuple[str, float]:
        self.asked += 1
        found = self.tokens.pop(0)
        if isinstance(found, Exception):
            raise found
        return f"t{self.asked}", time.time() + found


def test_a_token_is_kept_until_five_minutes_before_its_end() -> None:
    sign_in = SignIn(3600, 3600)
    kept: Any = KeptToken(sign_in.renew)
    assert [kept.get() for _ in range(3)] == ["t1"] * 3
    kept._asked_at -= 3350
    kept._ends -= 3350
    assert [kept.get() for _ in range(3)] == ["t2"] * 3


def test_a_token_is_used_to_its_end_where_no_new_one_comes() -> None:
    """The sign-in may be away for a while, or refuse a secret that was replaced, or give out the same token."""
    sign_in = SignIn(120, Unavailable("away"), BucketAway("refused"), 110, BucketAway("refused"))
    kept: Any = KeptToken(sign_in.renew)
    for asked, token in enumerate(("t1", "t1", "t1", "t4"), 1):
        assert [kept.get() for _ in range(3)] == [token] * 3
        assert sign_in.asked == asked, "it is not asked with every request"
        kept._asked_at -= 60
    kept._ends -= 100
    with pytest.raises(BucketAway, match="refused"):
        kept.get()


def test_a_token_that_was_refused_is_used_no_more() -> None:
    kept = KeptToken(SignIn(3600, 3600).renew)
    assert kept.get() == "t1"
    kept.forget()
    assert kept.get() == "t2"


def test_those_who_wait_for_a_token_that_does_not_come_hear_of_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other they would wait as often as there are threads."""
    came, go_on = threading.Semaphore(0), threading.Event()
    asked, failed = list[None](), list[str]()

    def note_time() -> float:
        came.release()
        return time.monotonic()

    def renew() -> tuple[str, float]:
        asked.append(None)
        assert go_on.wait(60)
        raise Unavailable("no answer came")

    def get() -> None:
        try:
            kept.get()
        except Unavailable as error:
            failed.append(error.what)

    kept = KeptToken(renew)
    monkeypatch.setattr(kept_tokens, "time", SimpleNamespace(monotonic=note_time, time=time.time))
    threads = [threading.Thread(target=get) for _ in range(5)]
    for thread in threads:
        thread.start()
        assert came.acquire(timeout=60)
    go_on.set()
    for thread in threads:
        thread.join()
    assert failed == ["no answer came"] * 5 and len(asked) == 1
    get()
    assert len(asked) == 2, "who comes later asks again"
