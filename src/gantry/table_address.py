"""Addresses of tables, ``bq://PROJECT.DATASET.TABLE``, by BigQuery's rules for names."""

from __future__ import annotations

import re
from typing import NamedTuple

from gantry.errors import InvalidArgument

MAX_ADDRESS = 2000  # characters, as the API documents them
MAX_NAME = 1024  # bytes in UTF-8 of a dataset's or table's name

_PROJECT = r"(?:[a-z0-9.-]+:)?[a-zA-Z0-9][\w-]*"  # old projects have a domain before a colon
_TABLE = re.compile(rf"bq://({_PROJECT})\.([a-zA-Z0-9_]+)\.([\w -]+)(\$[\w-]+)?")
_DATASET = re.compile(rf"(?:bq://)?({_PROJECT})(?:\.([a-zA-Z0-9_]+))?")


class TableAddress(NamedTuple):
    """Names of letters, digits, ``_``, ``-`` and blanks: none leads out of a directory."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"bq://{self.project}.{self.dataset}.{self.table}"

    @classmethod
    def parse(cls, text: str) -> TableAddress:
        """Raises InvalidArgument."""
        match = _TABLE.fullmatch(text) if len(text) <= MAX_ADDRESS else None
        if match is None or any(len(name.encode()) > MAX_NAME for name in match.groups("")):
            raise InvalidArgument(f"{text[:200]!r} must be bq://PROJECT.DATASET.TABLE")
        if match[4]:
            raise InvalidArgument(f"{text[:200]!r} is a partition of a table; leave {match[4][:50]} out")
        if match[3] != match[3].strip():
            raise InvalidArgument(f"{text[:200]!r}: the name of a table begins and ends with no blank")
        return cls(*match.groups()[:3])


def parse_dataset(text: str) -> tuple[str, str]:
    """``PROJECT`` or ``PROJECT.DATASET``: project, and dataset or "". Raises ValueError."""
    match = _DATASET.fullmatch(text)
    if match is None:
        raise ValueError
    return match[1], match[2] or ""
