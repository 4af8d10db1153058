"""Every file of a corpus that can be imported has a row in both schemas: ``$GANTRY_CORPUS``, or files of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import MAX_LIVE_HEADER, read_header, read_header_bytes
from gantry.tables.rows import RowForm, RowWriter
from tests.support.dicom import IMPLICIT_LITTLE_ENDIAN, JPEG_BASELINE, make_instance
from tests.tables.row import AS_JSON, FLATTENED, INSTANCE, require_columns


def list_files() -> Iterator[tuple[str, bytes]]:
    root = Path(os.environ.get("GANTRY_CORPUS", "/nowhere"), "data", "ok")
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(root)), path.read_bytes()
    for syntax in (None, IMPLICIT_LITTLE_ENDIAN, JPEG_BASELINE):
        yield f"own file, {syntax}", make_instance(transfer_syntax=syntax or "1.2.840.10008.1.2.1")


def read(data: bytes, name: str) -> HeaderBytes:
    def read_at(at: int, size: int) -> bytes:
        return data[at : at + size]

    layout = read_header(read_at, len(data)).layout
    found = read_header_bytes(read_at, len(data), layout, MAX_LIVE_HEADER)
    assert found is not None, name
    return found


def require_one_of_each(members: list[tuple[str, object]]) -> dict[str, object]:
    """JSON's own reader takes the last of several members with one name."""
    found = dict(members)
    assert len(found) == len(members)
    return found


@pytest.mark.parametrize("form", [FLATTENED, AS_JSON], ids=["flattened", "json"])
@pytest.mark.slow
def test_every_file_has_a_row(form: RowForm) -> None:
    together, number = RowWriter(form), 0
    for name, data in list_files():
        found = read(data, name)
        rows = [writer.write(INSTANCE, found).line() for writer in (RowWriter(form), together, together, together)]
        first = json.loads(rows[0], object_pairs_hook=require_one_of_each)
        assert all(
            json.loads(row, object_pairs_hook=require_one_of_each) == first and "\n" not in row for row in rows
        ), name
        require_columns(first, together.list_columns())
        number += 1
    assert number >= 3
