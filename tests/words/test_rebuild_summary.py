"""What a rebuild tells of what it found: whether everything was taken up, and what was not, as far as it fits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gantry.operations.rebuild import MAX_NAMED, StoreSummary, Summary, _Restoration
from gantry.resources import ObjectMeta


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


def test_an_object_that_cannot_be_opened_is_one_of_the_blobs() -> None:
    """It is counted, and refused where it is read. A directory is refused at once: nobody knows what lies in it."""
    listed = [ObjectMeta("main/1/a.dcm", 5), ObjectMeta("main/1/b.dcm", 0, "it is a link")]
    listed.append(ObjectMeta("main/1/7/", 0, "input/output error"))
    seams = SimpleNamespace(blobs=SimpleNamespace(list=lambda prefix: iter(listed)))
    refused: list[tuple[str, str]] = []
    restoration = _Restoration(seams, StoreSummary(1), Summary(), lambda _: None)  # type: ignore[arg-type]
    assert list(restoration._list_place("main", lambda *given: refused.append(given))) == listed[:2]
    assert refused == [("main/1/7/", "input/output error")]
