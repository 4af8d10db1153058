"""Columns and values of DuckDB's results as those of BigQuery."""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from gantry.errors import InvalidArgument
from gantry.query_seams import Field

_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)
_INTEGERS = {"tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"}
_WIDE = {"hugeint", "uhugeint", "ubigint"}
_SIMPLE = {
    "varchar": "STRING",
    "boolean": "BOOLEAN",
    "float": "FLOAT",
    "double": "FLOAT",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
    "decimal": "NUMERIC",
    "blob": "BYTES",
    "interval": "INTERVAL",
    "json": "JSON",
    "uuid": "STRING",
    "null": "INTEGER",
    **dict.fromkeys(_INTEGERS | _WIDE, "INTEGER"),
    **dict.fromkeys(("timestamp_s", "timestamp_ms", "timestamp_ns"), "DATETIME"),
}
Convert = Callable[[Any], Any]


def make_field(name: str, kind: Any) -> Field:
    """``kind`` is DuckDB's. Raises InvalidArgument for types that BigQuery has not."""
    id_ = str(kind.id)
    if str(kind).upper() == "JSON":
        return Field(name, "JSON")
    if id_ in ("list", "array"):
        inner = make_field(name, kind.children[0][1])
        if inner.mode == "REPEATED":
            raise InvalidArgument(f"column {name[:100]} is an array of arrays, which a result cannot have")
        return inner._replace(mode="REPEATED")
    if id_ == "struct":
        return Field(name, "RECORD", fields=tuple(make_field(each, its) for each, its in kind.children))
    if id_ not in _SIMPLE:
        raise InvalidArgument(f"column {name[:100]} has a type that a result cannot have")
    return Field(name, _SIMPLE[id_])


def find_cast(kind: Any) -> str:
    """The type to cast a column to, so that values of TIMESTAMP come without a time zone; "" where it has none."""
    text = str(kind)
    return text.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMP") if "TIMESTAMP WITH TIME ZONE" in text else ""


def make_converters(fields: Sequence[Field]) -> tuple[Convert | None, ...]:
    """For each column what its values are made of; None where they can stay as they are."""
    return tuple(map(_converter, fields))


def _converter(field: Field) -> Convert | None:
    one = _one(field)
    if field.mode != "REPEATED":
        return one if one is None else lambda value: None if value is None else one(value)
    if one is None:
        return lambda value: [] if value is None else value
    return lambda value: [] if value is None else [None if each is None else one(each) for each in value]


def _one(field: Field) -> Convert | None:
    if field.type != "RECORD":
        return _CONVERT.get(field.type)
    names = [each.name for each in field.fields]
    converters = make_converters(field.fields)

    def convert(value: dict[str, Any]) -> list[Any]:
        values = map(value.get, names)
        return [each if its is None else its(each) for each, its in zip(values, converters, strict=True)]

    return convert


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _moment(value: Any) -> Any:
    """Beyond the year 9999, and of 24:00, Python has no value: they come as text."""
    if isinstance(value, str):
        raise InvalidArgument(f"Bad value: {value[:100]!r} is beyond what dates and times can be")
    return value


def _integer(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 63:
        raise InvalidArgument("integer overflow: a value does not fit INT64")
    return value


def _decimal(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _interval(value: Any) -> str:
    return str(value) if not isinstance(value, dt.timedelta) else f"0-0 {value.days} {dt.timedelta(0, value.seconds)}"


_CONVERT: dict[str, Convert] = {
    "INTEGER": _integer,
    "FLOAT": _float,
    "DATE": lambda value: _moment(value).isoformat(),
    "TIME": lambda value: _moment(value).isoformat(),
    "DATETIME": lambda value: _moment(value).isoformat(),
    "TIMESTAMP": lambda value: (_moment(value) - _EPOCH) // _MICROSECOND,
    "NUMERIC": _decimal,
    "BYTES": lambda value: base64.b64encode(value).decode(),
    "INTERVAL": _interval,
}
