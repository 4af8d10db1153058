"""What ``gantry check`` finds in a data directory."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """One word for each kind of finding. Programs read them: a kind is never renamed."""

    BYTES_MISSING = "bytes-missing"
    SIZE_WRONG = "size-wrong"
    BYTES_UNREADABLE = "bytes-unreadable"
    CONTENT_WRONG = "content-wrong"
    BYTES_UNKNOWN = "bytes-unknown"
    COUNT_WRONG = "count-wrong"
    ROW_WRONG = "row-wrong"
    HEADER_WRONG = "header-wrong"
    TERM_WRONG = "term-wrong"
    SEGMENT_WRONG = "segment-wrong"
    MARK_WRONG = "mark-wrong"
    INDEX_DAMAGED = "index-damaged"
    NOT_CHECKED = "not-checked"


class Finding(NamedTuple):
    """``resource`` is the object it is about: the path of an instance, a file, a row. NOT_CHECKED says what could not
    be looked at; it is no fault of the data."""

    kind: Kind
    resource: str
    message: str
