"""Content-Disposition of what is to be saved to a file (RFC 6266)."""

from __future__ import annotations

import re
from urllib.parse import quote

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")
_MAX_NAME = 150


def attachment_header(name: str) -> str:
    """The header's value for a file name of any letters.

    ``filename`` is what every client reads: letters that could end it become ``_``. ``filename*`` has the whole name,
    percent-encoded (RFC 8187 §3.2), where these differ.
    """
    name = name[-_MAX_NAME:]
    plain = _NOT_PLAIN.sub("_", name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
