"""Names of new objects. None of them ever repeats, whoever makes them."""

from __future__ import annotations

import secrets
from itertools import count


class NewNames:
    """Keys that begin with ``prefix``, in the order in which they are made. Safe to use from many threads."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = count()

    def make(self, suffix: str) -> str:
        return f"{self._prefix}{next(self._numbers):04d}-{secrets.token_hex(8)}{suffix}"
