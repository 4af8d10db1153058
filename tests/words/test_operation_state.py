"""The state of an operation in one word, as people read it in the console and on the command line."""

from __future__ import annotations

import pytest

from gantry.errors import Code
from gantry.operation_state import state_of


@pytest.mark.parametrize(
    ("done", "cancel_requested", "code", "success", "waits", "word"),
    [
        (False, False, Code.OK, 0, False, "running"),
        (False, False, Code.OK, 5, False, "running"),
        (False, False, Code.OK, 5, True, "waiting"),
        (False, True, Code.OK, 5, False, "cancelling"),
        (False, True, Code.OK, 5, True, "cancelling"),
        (True, False, Code.OK, 0, False, "succeeded"),
        (True, True, Code.OK, 5, True, "succeeded"),
        (True, True, Code.CANCELLED, 5, False, "cancelled"),
        (True, False, Code.CANCELLED, 0, False, "cancelled"),
        (True, False, Code.INVALID_ARGUMENT, 1, False, "errors"),
        (True, False, Code.INVALID_ARGUMENT, 0, False, "failed"),
        (True, True, Code.INTERNAL, 0, True, "failed"),
    ],
)
def test_the_state_in_one_word(
    done: bool, cancel_requested: bool, code: Code, success: int, waits: bool, word: str
) -> None:
    """A cancellation that came too late changes nothing; ``errors``: a part of the objects succeeded."""
    assert state_of(done, cancel_requested, code, success, waits) == word
