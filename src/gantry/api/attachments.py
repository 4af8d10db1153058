"""Content-Disposition of answers that a browser saves to a file (RFC 6266)."""

from __future__ import annotations

import re
from urllib.parse import quote

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")
_MAX_NAME = 150  # characters; file systems take 255 bytes


def attachment_header(name: str) -> str:
    """The header's value for a file name with any characters.

    Every client reads ``filename``: characters that could end it become ``_``. If that changes the name, ``filename*``
    has the original, percent-encoded (RFC 8187 §3.2).
    """
    name = name[-_MAX_NAME:]
    plain = _NOT_PLAIN.sub("_", name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
