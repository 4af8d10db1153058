"""Columns as fields of a schema of BigQuery, and the other way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.cloud.bigquery import SchemaField

from gantry.table_schema import Column, Columns

_OTHER_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "STRUCT": "RECORD", "BOOL": "BOOLEAN"}
"""Of types: the API may answer with those of SQL."""


def make_fields(columns: Columns) -> list[SchemaField]:
    return [SchemaField(each.name, each.type, each.mode, fields=make_fields(each.fields)) for each in columns]


def read_fields(fields: Sequence[SchemaField]) -> Columns:
    """In the order of the table."""
    return tuple(_read(place, each) for place, each in enumerate(fields))


def _read(place: int, field: SchemaField) -> Column:
    kind: Any = _OTHER_NAMES.get(field.field_type, field.field_type)
    return Column(place, field.name, kind, field.mode == "REPEATED", read_fields(field.fields))


def join_fields(there: Sequence[SchemaField], columns: Columns) -> list[SchemaField]:
    """Fields of a table with those of ``columns`` that it lacks at the end, at each depth: BigQuery only adds there."""
    wanted = {each.name: each for each in columns}
    known = {each.name for each in there}
    joined = [_join(each, wanted[each.name]) if each.name in wanted else each for each in there]
    return joined + make_fields(tuple(each for each in columns if each.name not in known))


def _join(field: SchemaField, column: Column) -> SchemaField:
    if not column.fields:
        return field
    return SchemaField(field.name, field.field_type, field.mode, fields=join_fields(field.fields, column.fields))
