"""Where something may still come that was given up, as one key in the list of garbage: ``late/PREFIX``.

A provider of object storage may carry out a request whose answer nobody waits for any more, or whose process was
killed. PREFIX, which begins with a place and ends what one writer, or all of one operation, has for names, is searched
later (``operations.late_sweeps``): first when no request can come any more, and then, as ``late/SECONDS PREFIX``, for
what a server sent that was frozen meanwhile. SECONDS, since 1970, are those of the first search.
"""

from __future__ import annotations

import re

_MARK = "late/"  # no place has this name
_SEARCHED = re.compile(r"([0-9]{1,12}) ")  # no place has a space in its name


def make_late(prefix: str, searched: int | None = None) -> str:
    """``searched`` is when the prefix was searched first."""
    return f"{_MARK}{prefix}" if searched is None else f"{_MARK}{searched} {prefix}"


def parse_late(key: str) -> str | None:
    """The prefix; None for every other key in the list of garbage."""
    if not key.startswith(_MARK):
        return None
    rest = key.removeprefix(_MARK)
    found = _SEARCHED.match(rest)
    return rest[found.end() :] if found else rest


def parse_searched(key: str) -> int | None:
    """When the prefix of a key was searched first; None where it was not yet."""
    found = _SEARCHED.match(key, len(_MARK))
    return int(found[1]) if found else None
