"""Conditional requests and ranges (RFC 9110 §13, §14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from tests.support.s3.errors import S3Error
from tests.support.s3.store import StoredObject

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def match_etag(condition: str, etag: str) -> bool:
    """Quotes around an ETag may be left out, as S3 allows."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in condition.split(",")]
    return "*" in tags or etag.strip('"') in tags


def check_read(headers: Mapping[str, str], stored: StoredObject, prefix: str = "") -> bool:
    """Whether the answer has to be sent; False is 304. Raises PreconditionFailed."""
    seconds = int(stored.modified)
    match, none_match = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    since, unchanged = headers.get(f"{prefix}if-modified-since"), headers.get(f"{prefix}if-unmodified-since")
    if match is not None and not match_etag(match, stored.etag):
        raise S3Error("PreconditionFailed", Condition="If-Match")
    if match is None and unchanged is not None and seconds > _read_date(unchanged, seconds):
        raise S3Error("PreconditionFailed", Condition="If-Unmodified-Since")
    if none_match is not None:
        return not match_etag(none_match, stored.etag)
    return since is None or seconds > _read_date(since, seconds - 1)


def check_write(headers: Mapping[str, str], stored: StoredObject | None) -> None:
    """Of a PUT, or the end of an upload. Raises PreconditionFailed, NoSuchKey."""
    if headers.get("if-none-match") == "*" and stored is not None:
        raise S3Error("PreconditionFailed", Condition="If-None-Match")
    if (match := headers.get("if-match")) is not None:
        if stored is None:
            raise S3Error("NoSuchKey")
        if not match_etag(match, stored.etag):
            raise S3Error("PreconditionFailed", Condition="If-Match")


def read_range(text: str | None, size: int) -> tuple[int, int] | None:
    """First and end of the bytes, or None for all: also for what is no single range. Raises InvalidRange."""
    found = RANGE.fullmatch(text.strip()) if text else None
    if text is None or found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise S3Error("InvalidRange", ActualObjectSize=str(size), RangeRequested=text)
    return start, end


def _read_date(text: str, otherwise: float) -> float:
    """A date that is none counts as not sent (RFC 9110 §13.1.3)."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return otherwise
