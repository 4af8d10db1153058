"""Ranges and conditions of requests (RFC 9110 §13, §14)."""

from __future__ import annotations

import re

from gantry.errors import OutOfRange

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", re.IGNORECASE)
_ETAG = re.compile(r'\s*(?:W/)?("[^"]*")\s*(?:,|$)')


class Unsatisfiable(OutOfRange):
    """The range begins behind the last byte (RFC 9110 §15.5.17)."""

    http = 416


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and length of the one range asked for; None where the whole is to be sent. Raises Unsatisfiable."""
    found = _RANGE.fullmatch(header)
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        if not length:
            raise Unsatisfiable(f"Range: there are only {size} bytes")
        return size - length, length
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None
    if first >= size:
        raise Unsatisfiable(f"Range: begins at byte {first}, but there are only {size} bytes")
    return first, last - first + 1


def matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison (RFC 9110 §13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    at = 0
    while found := _ETAG.match(if_none_match, at):
        if found[1] == etag.removeprefix("W/"):
            return True
        at = found.end()
    return False
