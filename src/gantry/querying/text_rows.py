"""Rows as lines of text: CSV as BigQuery writes it, or JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from gantry.errors import InvalidArgument
from gantry.query_seams import Batch, Field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_csv(
    fields: Sequence[Field], batches: Iterable[Batch], header: bool = True, delimiter: str = ","
) -> Iterator[bytes]:
    """Raises InvalidArgument for columns that are records or repeated."""
    if nested := [field.name for field in fields if field.type == "RECORD" or field.mode == "REPEATED"]:
        raise InvalidArgument(
            f"column {nested[0][:100]} is repeated or a record, which CSV cannot have; choose its fields, use UNNEST, "
            "or write JSON"
        )
    out = StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    if header:
        writer.writerow([field.name for field in fields])
    yield _take(out)
    for batch in batches:
        writer.writerows(
            [_text(field, value) for field, value in zip(fields, row, strict=True)] for row in batch.read()
        )
        yield _take(out)


def write_json(fields: Sequence[Field], batches: Iterable[Batch]) -> Iterator[bytes]:
    """A line for each row."""
    for batch in batches:
        lines = (json.dumps(to_object(fields, row), ensure_ascii=False, separators=(",", ":")) for row in batch.read())
        yield "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def to_object(fields: Sequence[Field], row: Sequence[Any]) -> dict[str, Any]:
    """A row by the names of its columns. NULL is left out, as in BigQuery's own exports."""
    pairs = ((field, value) for field, value in zip(fields, row, strict=True) if value is not None)
    return {field.name: _plain(field, value) for field, value in pairs}


def _plain(field: Field, value: Any) -> Any:
    if field.mode == "REPEATED":
        return [_plain(field._replace(mode=""), each) for each in value]
    if value is None:
        return None
    if field.type == "RECORD":
        return to_object(field.fields, value)
    if field.type == "TIMESTAMP":
        return format_timestamp(value)
    return str(value) if field.type == "INTEGER" else value


def _text(field: Field, value: Any) -> str:
    if value is None:
        return ""
    if field.type == "TIMESTAMP":
        return format_timestamp(value)
    return ("true" if value else "false") if field.type == "BOOLEAN" else str(value)


def format_timestamp(microseconds: int) -> str:
    """``2024-01-31 23:59:59.5 UTC``"""
    text = (_EPOCH + timedelta(microseconds=microseconds)).isoformat(
        " ", "microseconds"
    )  # strftime: years of one digit
    return f"{text.removesuffix('+00:00').rstrip('0').rstrip('.')} UTC"


def _take(out: StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8", "replace")
