"""Every kind of failure has a name, advice and a place in the documentation; none is there for nothing."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

import gantry
from gantry.errors import Code, InvalidArgument, NoRoom, Status
from gantry.reasons import ABOUT, Reason, find_reason

SOURCE = Path(gantry.__file__).parent
PAGE = SOURCE.parents[1] / "docs/howto/failures.md"


def test_every_reason_is_told_of() -> None:
    assert set(ABOUT) == set(Reason)
    titles = [about.title for about in ABOUT.values()]
    assert len(set(titles)) == len(titles) and all(about.advice.endswith(".") for about in ABOUT.values())


def test_the_page_has_every_reason_and_its_advice() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows == {reason.value: f"{about.title} | {about.advice}" for reason, about in ABOUT.items()}


def test_every_code_is_a_reason() -> None:
    assert {code.name for code in Code if code} <= set(Reason.__members__)


def test_every_kind_is_given_somewhere() -> None:
    modules = (path for path in SOURCE.rglob("*.py") if path.name != "reasons.py")
    given = set(re.findall(r"Reason\.([A-Z_]+)", "".join(path.read_text(encoding="utf-8") for path in modules)))
    assert set(Reason.__members__) - set(Code.__members__) <= given


def test_an_error_keeps_its_kind() -> None:
    error = InvalidArgument("it ends early", kind=Reason.TRUNCATED)
    assert error.status.reason is error.within("a.dcm").status.reason is Reason.TRUNCATED
    assert pickle.loads(pickle.dumps(error)).kind is Reason.TRUNCATED  # noqa: S301 - our own
    assert NoRoom("full").status.reason is Reason.NO_ROOM
    assert Status(Code.ABORTED, "x").reason is Reason.ABORTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [("TRUNCATED", Reason.TRUNCATED), ("", Reason.INTERNAL), ("OF_A_NEWER_VERSION", Reason.INTERNAL)],
)
def test_entries_of_other_versions_have_that_of_their_code(text: str, expected: Reason) -> None:
    assert find_reason(text, "INTERNAL") is expected
