"""Headers made of a few elements, and the rows of them."""

from __future__ import annotations

import json
import struct
from typing import Any

from gantry.dicom.header_bytes import HeaderBytes
from gantry.resources import StoredInstance
from gantry.table_schema import Column
from gantry.tables.rows import RowForm, RowWriter
from tests.support.dicom import element

INSTANCE = StoredInstance(
    *("1.2", "1.3", "1.4", "1.5", "1.6", "key", 4000, "NEARLINE", 1, 1_700_000_000_123_456),
    *(None, None, None, None, None, None, None),
)
FLATTENED, AS_JSON = RowForm(), RowForm(as_json=True)


def plain(tag: int, vr: str, value: bytes | str) -> bytes:
    """An element in explicit VR, little endian."""
    if vr in ("UC", "UR", "UN", "OD", "OF", "OL", "OV", "SV", "UV", "UT"):
        data = value.encode() if isinstance(value, str) else value
        return struct.pack("<HH2s2xI", tag >> 16, tag & 0xFFFF, vr.encode(), len(data)) + data
    return element(tag >> 16, tag & 0xFFFF, vr.encode(), value)


def sequence(tag: int, *items: bytes) -> bytes:
    data = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return plain(tag, "SQ", data)


def nested(tag: int, levels: int, innermost: bytes) -> bytes:
    """Sequences inside of each other, all with the same tag."""
    for _ in range(levels):
        innermost = sequence(tag, innermost)
    return innermost


def header(*elements: bytes) -> HeaderBytes:
    return HeaderBytes(b"", b"".join(elements), (), True, True)


def make_row(*elements: bytes, form: RowForm = FLATTENED) -> dict[str, Any]:
    return make(header(*elements), form)[0]


def make(found: HeaderBytes, form: RowForm = FLATTENED) -> tuple[dict[str, Any], tuple[Column, ...]]:
    """The row and its columns. The third in a row, which is compared with two before it, is the same."""
    writer = RowWriter(form)
    rows = [json.loads(writer.write(INSTANCE, found).line()) for _ in range(3)]
    row = rows[0]
    assert rows == [row] * 3
    require_columns(row, writer.list_columns())
    return row, writer.list_columns()


def require_columns(row: dict[str, Any], columns: tuple[Column, ...]) -> None:
    """Each value has a column of its type and mode, at every depth."""
    known = {column.name: column for column in columns}
    assert len(known) == len(columns)
    for name, value in row.items():
        column = known[name]
        assert isinstance(value, list) == column.repeated, name
        for each in value if isinstance(value, list) else [value]:
            _require_type(each, column)


def _require_type(value: object, column: Column) -> None:
    if column.type == "RECORD":
        assert isinstance(value, dict) and column.fields
        require_columns(value, column.fields)
    elif column.type == "JSON":
        assert isinstance(value, dict)
    elif column.type == "INTEGER":
        assert type(value) is int and -(1 << 63) <= value < 1 << 63
    elif column.type == "FLOAT":
        assert isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity")
    else:
        assert isinstance(value, str)
