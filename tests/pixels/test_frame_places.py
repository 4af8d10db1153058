"""What is remembered of where frames lie stays within its bound, also where it grows after it came."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gantry.dicom import forms
from gantry.studies import frames as module
from gantry.studies.frames import FramePlaces, read_frames
from tests.pixels.instances import Opened, image
from tests.support.files import header_bytes_of


class Growing:
    """As a table that has to look at all fragments once a frame is asked for."""

    def __init__(self) -> None:
        self.memory = 100


def held(places: FramePlaces) -> int:
    return places._held


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Growing]:
    found: dict[str, Growing] = {}

    def look(blob: Any, *_: object) -> Growing:
        return found.setdefault(blob.key, Growing())

    monkeypatch.setattr(module, "stored_frames", look)
    monkeypatch.setattr(module, "read_one_header", lambda *_: None)
    return found


def ask(places: FramePlaces, key: str) -> Any:
    row = SimpleNamespace(transfer_syntax_uid="1.2", uids=("1", "1.2", "1.2.3"))
    return places.of(cast(Any, None), cast(Any, None), cast(Any, row), cast(Any, SimpleNamespace(key=key)))


def test_entries_that_grow_do_not_loosen_the_bound(known: dict[str, Growing]) -> None:
    places = FramePlaces(1000)
    for number in range(100):
        ask(places, f"{number}")
        known[f"{number}"].memory = 900
        assert 0 <= held(places) <= 1000
    kept = list(places._known)
    assert 1 <= len(kept) <= 10 and kept[-1] == "99"


def test_what_is_asked_for_again_is_measured_again(known: dict[str, Growing]) -> None:
    places = FramePlaces(1000)
    for key in "abcde":
        ask(places, key)
    known["a"].memory = 700
    assert ask(places, "a") is known["a"]
    assert held(places) == 1000 and list(places._known) == ["c", "d", "e", "a"]


def test_one_that_is_larger_than_the_bound_is_not_kept(known: dict[str, Growing]) -> None:
    places = FramePlaces(1000)
    ask(places, "a")
    known["a"].memory = 5000
    assert ask(places, "a") is known["a"]
    assert (held(places), len(places._known)) == (0, 0)


def test_a_table_that_has_grown_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An offset table that points beside the fragments is found out when a frame is asked for: then all of them are
    looked at, and remembered."""
    fragments = [bytes([number, 0]) for number in range(200)]
    offsets = struct.pack("<200I", 0, *range(3, 202))
    data = image(fragments, 1, 2, syntax=forms.J2K, frames=200, offsets=offsets)
    monkeypatch.setattr(module, "read_one_header", lambda *_: header_bytes_of(data))
    monkeypatch.setattr(module, "open_blob", lambda *_: Opened(data))
    row = cast(Any, SimpleNamespace(transfer_syntax_uid=forms.J2K, uids=("1", "1.2", "1.2.3")))
    places = FramePlaces(100_000)
    frames = read_frames(cast(Any, None), places, cast(Any, None), row, [7], "")
    assert [b"".join(frame) for frame in frames] == [fragments[7]]
    ((table, counted),) = places._known.values()
    assert counted == table.memory > 200 * 100
    assert held(places) == counted
