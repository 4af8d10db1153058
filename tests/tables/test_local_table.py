"""Tables in directories, without a server: long rows, readers of other kinds, what is left behind."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import duckdb
import pytest

from gantry.errors import FailedPrecondition, InvalidArgument
from gantry.storage.warehouse import directories
from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.storage.warehouse.stages import MAX_BYTES
from gantry.table_address import TableAddress
from gantry.table_schema import Column, Columns, TableRow
from gantry.table_seams import ExportTable
from gantry.tables.columns import list_fixed_columns
from tests.support.missing import not_tested

ADDRESS = TableAddress("p", "d", "t")
TEXT = Column(0x0040A160, "TextValue", "STRING")
FIXED = list_fixed_columns(False, False)


def row(number: int, text: str = "") -> TableRow:
    uids = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), f"1.2.{number}")
    moment = "2024-01-01 00:00:00+00"
    return TableRow(json.dumps({**uids, "TextValue": text, "LastUpdated": moment, "DroppedTags": ["a", "b"]}))


def open_table(root: Path, key: str = "1", attempt: int = 1, mark: str = "mark") -> ExportTable:
    return LocalWarehouse({"p.d": str(root)}, mark).open(ADDRESS, key, f"operation-{key}", attempt)


def write(table: ExportTable, rows: list[TableRow], columns: Columns = (*FIXED, TEXT), appends: bool = False) -> int:
    """Stage, write and publish; the number of files."""
    table.begin("")
    table.keep(table.stage("a1-a0.0", rows), columns)
    plan = table.plan(FIXED, appends)
    for file in plan.files:
        table.write_file(plan, file)
    assert table.publish(plan)
    return len(plan.files)


def count(root: Path) -> int:
    ((found,),) = duckdb.sql(f"SELECT count(*) FROM '{root}/t/*.parquet'").fetchall()
    return int(found)


def test_long_rows_are_written_some_at_a_time(tmp_path: Path) -> None:
    rows = [row(number, "x" * (3 << 20)) for number in range(40)]
    files = write(open_table(tmp_path), rows)
    assert files >= sum(len(each.own) for each in rows) // MAX_BYTES
    assert count(tmp_path) == 40


def test_a_row_of_the_longest_kind(tmp_path: Path) -> None:
    write(open_table(tmp_path), [row(1, "ü" * (16 << 20)), row(2)])
    found = duckdb.sql(f"SELECT max(length(TextValue)) FROM '{tmp_path}/t/*.parquet'").fetchall()
    assert found == [(16 << 20,)]


def test_other_readers(tmp_path: Path) -> None:
    write(open_table(tmp_path), [row(2, "b"), row(1, "a")])
    write(open_table(tmp_path, "2"), [row(3, "c")], FIXED, appends=True)
    directory, read = str(tmp_path / "t"), 0
    try:
        import pandas

        found = pandas.read_parquet(directory)
        assert sorted(found["SOPInstanceUID"]) == ["1.2.1", "1.2.2", "1.2.3"]
        assert str(found["LastUpdated"].dt.tz) == "UTC" and list(found["DroppedTags"][0]) == ["a", "b"]
        read += 1
    except ImportError:
        not_tested("pandas with pyarrow")
    try:
        import polars

        frame = polars.read_parquet(f"{directory}/*.parquet")
        assert (
            sorted(frame["SOPInstanceUID"]) == ["1.2.1", "1.2.2", "1.2.3"]
            and frame["StorageClass"].dtype == polars.String
        )
        read += 1
    except ImportError:
        not_tested("polars")
    assert read


def test_rows_are_sorted(tmp_path: Path) -> None:
    write(open_table(tmp_path), [row(number) for number in (5, 3, 9, 1)])
    (name,) = os.listdir(tmp_path / "t")
    found = duckdb.sql(f"SELECT SOPInstanceUID FROM '{tmp_path}/t/{name}'").fetchall()
    assert found == [("1.2.1",), ("1.2.3",), ("1.2.5",), ("1.2.9",)]


def test_a_late_call_of_an_earlier_attempt_writes_nothing(tmp_path: Path) -> None:
    early, late = open_table(tmp_path), open_table(tmp_path, attempt=2)
    early.begin("")
    early.keep(early.stage("a1-a0.0", [row(1)]), FIXED)
    early.keep(early.stage("a1-a1.0", [row(2)]), FIXED)
    late.begin("a1-a0")
    with pytest.raises(Exception, match="cannot be written"):
        early.stage("a1-a2.0", [row(3)])
    assert [file.rows for file in late.plan(FIXED, False).files] == [1]


def test_what_is_left_is_swept_once_its_operation_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(open_table(tmp_path), [row(1)])
    write(open_table(tmp_path, "2"), [row(2)])
    open_table(tmp_path, "3").begin("")
    open_table(tmp_path, "4", mark="another index").begin("")
    warehouse, hidden = (
        LocalWarehouse({"p": str(tmp_path.parent), "p.d": str(tmp_path)}, "mark"),
        tmp_path / ".gantry" / "t",
    )

    def left(kind: str) -> list[str]:
        return sorted(name for name in os.listdir(hidden) if name.startswith(kind))

    warehouse.sweep(lambda owner: False)
    assert left("op-") == ["op-3-1", "op-4-1"] and len(left("v-")) == 4
    warehouse.sweep(lambda owner: owner == "operation-3")
    assert left("op-") == ["op-4-1"] and len(left("v-")) == 4
    monkeypatch.setattr(directories, "GRACE_SECONDS", -1)
    time.sleep(0.01)
    warehouse.sweep(lambda owner: True)
    assert left("v-") == ["v-2-1", "v-2-1.json"] and left("op-") == ["op-4-1"]
    assert count(tmp_path) == 1


def test_a_name_that_is_taken_and_one_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "t").symlink_to(tmp_path)
    with pytest.raises(FailedPrecondition, match="is taken"):
        open_table(tmp_path).look()
    with pytest.raises(InvalidArgument, match="at most 200 bytes"):
        LocalWarehouse({"p": str(tmp_path)}, "").require(TableAddress("p", "d", "ü" * 101))


@pytest.mark.parametrize(
    "text", ["bq://p.d", "bq://p.d.t/u", "bq://p.d..", "p.d.t", "bq://p.d.t\n", "bq://p/q.d.t", "bq://p.d.t\0"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument):
        TableAddress.parse(text)


def test_an_address_with_a_domain() -> None:
    assert TableAddress.parse("bq://example.com:p-1.d_2.a table") == ("example.com:p-1", "d_2", "a table")
