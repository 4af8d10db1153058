"""Parts of a representation: the header Range (RFC 9110 §14)."""

from __future__ import annotations

import re

from gantry.errors import OutOfRange

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,100})-([0-9]{0,100})\s*", re.IGNORECASE)


class Unsatisfiable(OutOfRange):
    """No byte of the representation is in the range. The answer has ``content-range: bytes */SIZE`` (§15.5.17)."""

    http = 416
    size: int = 0


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """``(start, length)`` of one range of bytes, cut at ``size``; None for the whole, as a server may ignore Range.

    None is for no header, another unit, several ranges, a text that is no range, and the last bytes of an empty
    representation, which Content-Range cannot express.
    Raises Unsatisfiable for a range that begins at or beyond the end, and for ``-0``.
    """
    match = _RANGE.fullmatch(header)
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        if int(last) and not size:
            return None
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        error = Unsatisfiable(f"Range: {header[:100]!r} begins beyond the end; there are {size} bytes")
        error.size = size
        raise error
    return start, end - start
