"""What a rebuild tells of what it found: whether everything was taken up, and what was not, as far as it fits."""

from __future__ import annotations

import pytest

from gantry.operations.rebuild import MAX_NAMED, StoreSummary, Summary


def test_the_first_hundred_blobs_that_were_not_taken_up_are_named() -> None:
    made = Summary()
    for number in range(MAX_NAMED + 5):
        made.add(f"main/1/{number}", "is damaged")
    assert MAX_NAMED == 100
    assert made.not_restored == [(f"main/1/{number}", "is damaged") for number in range(100)]


@pytest.mark.parametrize(
    ("found", "is_whole"),
    [
        (StoreSummary(1), True),
        (StoreSummary(1, "s", restored=5, known=3, freed=2, objects=1, segments=1), True),
        (StoreSummary(1, problem="its name is not known"), False),
        (StoreSummary(1, unreadable=1), False),
        (StoreSummary(1, duplicates=1), False),
    ],
    ids=["empty", "restored", "problem", "unreadable", "duplicates"],
)
def test_whether_everything_was_taken_up(found: StoreSummary, is_whole: bool) -> None:
    assert Summary([StoreSummary(2), found]).is_whole == is_whole
    assert StoreSummary(1).name == "", "a store whose name nobody knows has none"
