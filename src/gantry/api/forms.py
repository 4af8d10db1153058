"""Forms as browsers and clients send them: application/x-www-form-urlencoded (WHATWG URL §5.1)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from gantry.errors import InvalidArgument

_MAX_FIELDS = 1000


def read_form(body: bytes, unique: bool = False) -> dict[str, str]:
    """The fields by name, the last of each; ``unique`` refuses a name that is there twice. Raises InvalidArgument."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidArgument(f"the form is not UTF-8, or has more than {_MAX_FIELDS} fields") from None
    fields = dict(pairs)
    if unique and len(fields) < len(pairs):
        raise InvalidArgument("a field of the form is there twice")
    return fields
