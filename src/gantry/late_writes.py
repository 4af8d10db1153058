"""Where something may still come that was given up, as one key in the list of garbage: ``late/PREFIX``.

A provider of object storage may carry out a request whose answer nobody waits for any more, or whose process was
killed. PREFIX, which begins with a place and ends what one writer, or all of one operation, has for names, is searched
later (``operations.late_sweeps``).
"""

from __future__ import annotations

_MARK = "late/"  # no place has this name


def make_late(prefix: str) -> str:
    return _MARK + prefix


def parse_late(key: str) -> str | None:
    """The prefix; None for every other key in the list of garbage."""
    return key.removeprefix(_MARK) if key.startswith(_MARK) else None
