"""Rows of BigQuery's API, in which every value is text, as values, and as lines of a table or of CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gantry.client.api import Json
from gantry.table_schema import write_duckdb_type

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_row(fields: Sequence[Json], row: Json) -> list[Any]:
    """The values in the order of the columns: numbers, texts, lists and objects. ``fields`` are those of a schema."""
    return [_read(field, item["v"]) for field, item in zip(fields, row["f"], strict=True)]


def read_object(fields: Sequence[Json], row: Json) -> Json:
    """The values by the names of the columns."""
    return dict(zip([field["name"] for field in fields], read_row(fields, row), strict=True))


def _read(field: Json, value: Any) -> Any:
    if field.get("mode") == "REPEATED":
        return [_read_one(field, each["v"]) for each in value]
    return _read_one(field, value)


def _read_one(field: Json, value: Any) -> Any:
    if value is None:
        return None
    kind = field["type"]
    if kind == "RECORD":
        return read_object(field.get("fields", ()), value)
    if kind == "INTEGER":
        return int(value)
    if kind == "FLOAT":
        return value if value in ("NaN", "Infinity", "-Infinity") else float(value)
    if kind == "BOOLEAN":
        return value == "true"
    if kind == "JSON":
        return _parse(value)
    return _moment(int(value)) if kind == "TIMESTAMP" else str(value)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _moment(microseconds: int) -> str:
    """``2024-01-31T23:59:59.5Z``"""
    text = (_EPOCH + timedelta(microseconds=microseconds)).isoformat(
        "T", "microseconds"
    )  # strftime: years of one digit
    return f"{text.removesuffix('+00:00').rstrip('0').rstrip('.')}Z"


def write_cell(value: Any) -> str:
    """A value in one cell; what has parts as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def parquet_type(field: Json) -> str:
    """The type of a column in DuckDB."""
    fields = ((each["name"], parquet_type(each)) for each in field.get("fields", ()))
    return write_duckdb_type(field["type"], field.get("mode") == "REPEATED", fields)
