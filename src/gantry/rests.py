"""What an operation that is over has left in a place, as one key in the list of garbage: ``PREFIX>START``.

It stands for all blobs below PREFIX that sort after START.
"""

from __future__ import annotations

from typing import NamedTuple

_MARK = ">"  # stands in no key of a blob


class Rest(NamedTuple):
    prefix: str
    start_after: str = ""

    def __str__(self) -> str:
        return f"{self.prefix}{_MARK}{self.start_after}"

    def holds(self, key: str) -> bool:
        return key.startswith(self.prefix) and key > self.start_after


def make_rest(place: str, operation_prefix: str, committed: str) -> Rest:
    """``operation_prefix`` is ``STORE/OPERATION/``, ``committed`` the prefix of the last batch that was committed."""
    return Rest(f"{place}/{operation_prefix}", f"{place}/{committed}/~" if committed else "")


def parse_rest(key: str) -> Rest | None:
    """None for the key of a blob."""
    prefix, mark, start_after = key.partition(_MARK)
    return Rest(prefix, start_after) if mark else None
