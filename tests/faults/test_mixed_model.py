"""What the mixed faults compare answers with: it allows what can be, and nothing else."""

from __future__ import annotations

import pytest

from tests.faults.mixed.contents import Content, make_bytes, read_content
from tests.faults.mixed.journal import Contradiction
from tests.faults.mixed.started import changing, exporting, importing
from tests.faults.mixed.states import Outcome, State

UIDS = ("1.2", "1.2.3", "1.2.3.4")
A, B = Content(1, 64), Content(2, 128)


def ends(state: State, word: str) -> None:
    state.end("the end", "t", lambda met: met is not None and met.word == word)


def stored(content: Content = A) -> State:
    state = State("instance")
    state.change("stored", lambda _: [content])
    return state


def test_what_is_stored_is_there() -> None:
    stored().see("it is there", lambda held: held == A)
    with pytest.raises(Contradiction, match="instance: it is gone"):
        stored().see("it is gone", lambda held: held is None)


def test_an_unknown_answer_allows_both_and_the_next_one_decides() -> None:
    state = stored()
    state.change("unknown", lambda held: [held, None])
    assert state.contents() == {A, None}
    state.see("it is there", lambda held: held is not None)
    with pytest.raises(Contradiction):
        state.see("it is gone", lambda held: held is None)


def test_an_operation_meets_an_instance_once_at_any_moment() -> None:
    state = State("instance")
    state.begin("t", importing(A))
    assert state.contents() == {None, A}
    state.see("it is there", lambda held: held == A)
    state.change("deleted", lambda _: [None])
    state.see("it does not come twice", lambda held: held is None)
    assert state.contents() == {None}
    ends(state, "success")


def test_one_that_is_stored_again_after_it_was_missed_may_be_met_as_well() -> None:
    """Its failure stays in the log, and the new one may be changed or not."""
    cold = A._replace(storage_class="COLDLINE")
    for seen in (A, cold):
        state = stored()
        state.begin("t", changing("COLDLINE"))
        state.change("deleted", lambda _: [None])
        state.change("stored again", lambda _: [A])
        state.see("its class", lambda held, seen=seen: held == seen)  # type: ignore[misc]
        ends(state, "gone")
        assert seen in state.contents()


def test_what_is_not_seen_after_a_failed_commit_may_come_back() -> None:
    state = State("instance")
    state.change("unknown", lambda held: [held, A], is_unsure=True)
    state.see("it is not there", lambda held: held is None)
    state.see("after kill -9 it is", lambda held: held == A)
    state.change("another commit", lambda held: [held] if held == A else [])
    with pytest.raises(Contradiction):
        state.see("it is gone", lambda held: held is None)


@pytest.mark.parametrize(
    ("before", "word", "after"), [(None, "success", A), (A, "success", A), (B, "exists", B), (B, "trouble", B)]
)
def test_an_import_reports_what_it_did(before: Content | None, word: str, after: Content) -> None:
    state = stored(before) if before else State("instance")
    state.begin("t", importing(A))
    ends(state, word)
    assert state.contents() == {after}


def test_a_success_of_other_bytes_is_a_contradiction() -> None:
    state = stored(B)
    state.begin("t", importing(A))
    with pytest.raises(Contradiction):
        ends(state, "success")


def test_what_ends_without_a_failure_was_done() -> None:
    state = stored()
    state.begin("t", changing("COLDLINE"))
    ends(state, "success")
    assert state.contents() == {A._replace(storage_class="COLDLINE")}


def test_an_export_writes_a_content_that_was_there() -> None:
    state = stored()
    state.begin("t", exporting)
    state.change("replaced", lambda _: [B])
    for content in (A, B):
        assert Outcome("wrote", content._replace(storage_class="")) in state.outcomes("t")
    with pytest.raises(Contradiction):
        state.end("it wrote others", "t", lambda met: met == Outcome("wrote", Content(3, 64, storage_class="")))


def test_bytes_tell_what_they_are() -> None:
    data = make_bytes(UIDS, A)
    assert read_content(UIDS, data) == A
    for wrong in (data[:-2], data[:-1] + b"x", make_bytes(("1.2", "1.2.3", "1.2.3.5"), A), b""):
        with pytest.raises(Contradiction):
            read_content(UIDS, wrong)
