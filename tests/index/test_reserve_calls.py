"""What makes room is done once more where the disk is full, with the room that was kept for it."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.index.database import Part, with_reserve
from gantry.index.refusals import Full


class Room:
    """In the place of a database."""

    def __init__(self) -> None:
        self.shortened = 0

    def shorten_log(self) -> None:
        self.shortened += 1


class Deleting(Part):
    """Fails ``failures`` times, as long as no room was made for each."""

    def __init__(self, room: Any, failures: int) -> None:
        super().__init__(room)
        self.failures, self.calls = failures, list[tuple[int, str]]()

    @with_reserve
    def delete(self, number: int, name: str = "") -> str:
        self.calls.append((number, name))
        if len(self.calls) <= self.failures:
            raise Full("the index cannot be used right now")
        return f"deleted {number}"


@pytest.mark.parametrize("failures", [0, 1])
def test_a_full_disk_is_met_once_with_the_reserve(failures: int) -> None:
    room = Room()
    part = Deleting(room, failures)
    assert part.delete(5, name="x") == "deleted 5"
    assert part.calls == [(5, "x")] * (failures + 1) and room.shortened == failures


def test_a_disk_that_is_full_all_the_same_is_reported() -> None:
    room = Room()
    with pytest.raises(Full):
        Deleting(room, 2).delete(5)
    assert room.shortened == 1
