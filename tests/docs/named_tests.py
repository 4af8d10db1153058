"""Tests that pages name: each must be there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def _read(path: str) -> str:
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def is_there(path: str, name: str) -> bool:
    """Whether the file ``path`` (from the root of the repository) has a test of this name."""
    return re.search(rf"^ *def {re.escape(name)}\(", _read(path), re.MULTILINE) is not None
