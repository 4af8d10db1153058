"""Which keys the fast client can name."""

from __future__ import annotations

import re

_UNNAMEABLE = re.compile(r"[\x00-\x1f\x7f]|(?:\A|/)(?:\.{1,2})?(?:/|\Z)")
"""What obstore refuses or changes: control characters, and segments that are empty, ``.`` or ``..``. It drops ``/`` at
both ends of a key without a word, and would so read another object."""


def is_nameable(key: str) -> bool:
    return _UNNAMEABLE.search(key) is None
