"""Forms as browsers and clients send them: application/x-www-form-urlencoded (WHATWG URL §5.1)."""

from __future__ import annotations

from gantry.api.parameters import parse_pairs
from gantry.errors import InvalidArgument


def read_form(body: bytes, unique: bool = False) -> dict[str, str]:
    """The fields by name, the last of each; with ``unique`` a name must not be there twice. Raises InvalidArgument."""
    try:
        pairs = parse_pairs(body.decode("utf-8"), "form")
    except UnicodeDecodeError:
        raise InvalidArgument("the form is not valid UTF-8") from None
    fields = dict(pairs)
    if unique and len(fields) < len(pairs):
        raise InvalidArgument("a field of the form is there twice")
    return fields
