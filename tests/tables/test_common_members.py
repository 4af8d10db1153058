"""Rows that have members in common: written once, and the same in the table as if each had them itself."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import duckdb
import pytest

from gantry.dicom.header_bytes import HeaderBytes
from gantry.errors import Internal
from gantry.storage.warehouse.parquet import write_rows
from gantry.storage.warehouse.stages import (
    accept_stages,
    common_of,
    list_stages,
    read_lines,
    remove_uncommitted,
    write_stages,
)
from gantry.table_schema import Column, Columns, TableRow, merge_columns
from gantry.tables.rows import RowForm, RowWriter
from tests.tables.row import INSTANCE, header, plain, sequence

FORM = RowForm()


def make_rows(series: int = 3, slices: int = 20) -> tuple[list[TableRow], Columns]:
    """Rows in no order. Those of each series are alike; an element has values in all, in some, or in none of them."""
    writer, rows = RowWriter(FORM), list[TableRow]()
    for number in range(series):
        for place in range(slices):
            found = header(
                plain(0x00080060, "CS", "CT"),
                plain(0x00081030, "LO", f'series {number} \\"é'.encode("latin-1")),
                plain(0x00090010, "LO", "ACME"),
                plain(0x00091001, "LO", str(place) if number == 1 else "same"),
                plain(0x00100010, "PN", f"A^{number}"),
                plain(0x00200013, "IS", str(place)),
                plain(0x00201041, "DS", "" if place % 3 else "1.5"),
                plain(0x00204000, "LT", "x" * (place % 7) if number == 2 else "note"),
                plain(0x00280010, "IS", "1" if place % 2 and number else "2"),  # of another type: dropped
                sequence(0x00400275, plain(0x00400007, "LO", f"CHEST {number}")),
            )
            uids = {"series_instance_uid": f"1.3.{number}", "sop_instance_uid": f"1.4.{number}.{place:03}"}
            rows.append(writer.write(INSTANCE._replace(**uids), found))
    random.Random(1).shuffle(rows)
    return rows, writer.list_columns()


def write(directory: Path, rows: list[TableRow], columns: Columns) -> Path:
    directory.mkdir()
    accept_stages(directory, write_stages(directory, "a", rows[: len(rows) // 2]))
    accept_stages(directory, write_stages(directory, "b", rows[len(rows) // 2 :]))
    stages = [directory / stage.file for stage in list_stages(directory)]
    target = directory / "rows.parquet"
    assert write_rows(stages, columns, 10_000, target, directory / "spills") == len(rows)
    return target


def test_a_table_is_the_same_with_members_in_common_and_without(tmp_path: Path) -> None:
    rows, columns = make_rows()
    assert any(row.common for row in rows)
    together = write(tmp_path / "together", rows, columns)
    apart = write(tmp_path / "apart", [TableRow(row.line()) for row in rows], columns)
    one, other = (duckdb.sql(f"FROM '{path}'").fetchall() for path in (together, apart))
    assert one == other
    uids = [row[:3] for row in one]
    assert uids == sorted(uids) and len(set(uids)) == len(rows)


def test_rows_stay_sorted_where_more_is_in_common_than_not(tmp_path: Path) -> None:
    rows, columns = make_rows(series=1, slices=300)
    long = [TableRow(row.own, f'{row.common},"TextValue":"{number} {"x" * 9000}"') for number, row in enumerate(rows)]
    target = write(tmp_path / "rows", long, merge_columns(columns, [Column(0x0040A160, "TextValue", "STRING")]))
    uids = [uid for (uid,) in duckdb.sql(f"SELECT SOPInstanceUID FROM '{target}'").fetchall()]
    assert uids == sorted(uids) and len(set(uids)) == 300


def test_a_value_that_the_header_lacks_is_named_in_each_row() -> None:
    """It is too long for the index, and of another length in each."""
    writer, rows = RowWriter(FORM), list[TableRow]()
    for number in range(4):
        before = plain(0x00200013, "IS", str(number)) + plain(0x00400007, "LO", "CHEST")
        text = plain(0x0040A160, "UT", "x" * (2_000_000 + 2 * number))
        body = before + text[:12] + plain(0x0040A168, "SH", "")
        found = HeaderBytes(b"", body, ((len(before), len(text) - 12),), True, True)
        rows.append(writer.write(INSTANCE, found))
    assert rows[3].common and all(json.loads(row.line())["DroppedTags"] == ["TextValue"] for row in rows)


def test_whole_lines_are_read_back(tmp_path: Path) -> None:
    rows, _ = make_rows()
    rows.append(TableRow(json.dumps({"StudyInstanceUID": ',"_common":"x"}'})))
    for file in (found := write_stages(tmp_path, "a", rows)):
        accept_stages(tmp_path, [file])
    lines = [line for file in found for line in read_lines(tmp_path, file)]
    assert [line.decode() for line in lines] == [f"{row.line()}\n" for row in rows]


def test_what_rows_have_in_common_is_written_once(tmp_path: Path) -> None:
    rows, _ = make_rows(series=1, slices=500)
    (file,) = write_stages(tmp_path, "a", rows)
    accept_stages(tmp_path, [file])
    (stage,) = list_stages(tmp_path)
    whole = sum(len(row.line().encode()) for row in rows)
    assert stage.rows == 500 and whole < stage.size < 1.2 * whole  # what memory is needed for
    assert (tmp_path / common_of(file)).stat().st_size < 2000


def test_rows_whose_common_members_are_gone_are_refused(tmp_path: Path) -> None:
    rows, columns = make_rows()
    for name in ("a", "b"):
        accept_stages(tmp_path, write_stages(tmp_path, name, rows))
    stages = list_stages(tmp_path)
    os.unlink(tmp_path / common_of(stages[0].file))
    with pytest.raises(Internal, match="in common is gone"):
        write_rows([tmp_path / each.file for each in stages], columns, 10_000, tmp_path / "x", tmp_path / "s")


def test_what_was_not_committed_is_removed_with_its_common_members(tmp_path: Path) -> None:
    rows, _ = make_rows(series=1)
    accept_stages(tmp_path, write_stages(tmp_path, "a1-a0.0-20", rows))
    accept_stages(tmp_path, write_stages(tmp_path, "a1-a1.0-20", rows))
    write_stages(tmp_path, "a1-a2.0-20", rows)
    assert len(os.listdir(tmp_path)) == 6
    remove_uncommitted(tmp_path, "a1-a0")
    assert sorted(name.split(".")[0] for name in os.listdir(tmp_path)) == ["a1-a0", "a1-a0"]
