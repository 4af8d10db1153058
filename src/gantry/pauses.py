"""Short pauses of Python's search for cycles of garbage."""

from __future__ import annotations

import gc

_OBJECTS = 10_000
"""New objects between two searches for cycles of garbage, instead of Python's 700."""


def keep_pauses_short() -> None:
    """Python stops all threads while it looks for cycles of garbage: 100 ms and more if it looks through all imported
    modules. They stay, so they are left out from here on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
