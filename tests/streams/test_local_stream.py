"""A table in a directory that rows are added to again and again: it stays readable, and has each row once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gantry.errors import Aborted
from gantry.storage.warehouse import directories
from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.storage.warehouse.places import count_rows
from gantry.table_schema import Columns
from gantry.table_seams import StreamTable
from gantry.tables.columns import MODALITY
from tests.tables.test_local_table import ADDRESS, FIXED, TEXT, count, open_table, row, write


def open_stream(root: Path, key: str, stream: str = "sa") -> StreamTable:
    return LocalWarehouse({"p.d": str(root)}, "mark").open_stream(ADDRESS, f"{stream}-{key}", "stream 1 t")


def add(root: Path, key: str, rows: list[str], columns: Columns = (*FIXED, TEXT), stream: str = "sa") -> None:
    table = open_stream(root, key, stream)
    assert not table.is_added()
    write(table, rows, columns, appends=True)
    assert open_stream(root, key, stream).is_added()


@pytest.mark.slow
def test_a_table_that_is_added_to_for_long_has_few_files(tmp_path: Path) -> None:
    for number in range(300):
        add(tmp_path, str(number), [row(2 * number), row(2 * number + 1)])
    assert count(tmp_path) == 600
    files = os.listdir(tmp_path / "t")
    assert len(files) < 50
    assert sum(map(count_rows, files)) == 600


@pytest.mark.slow
def test_new_columns_are_in_all_files_and_what_is_joined_has_them(tmp_path: Path) -> None:
    for number in range(40):
        add(tmp_path, str(number), [row(number)], (*FIXED, TEXT, *((MODALITY,) if number > 17 else ())))
    assert count(tmp_path) == 40
    assert len(os.listdir(tmp_path / "t")) < 30


def test_exports_and_streams_add_to_the_same_table(tmp_path: Path) -> None:
    first, second = open_stream(tmp_path, "1"), open_table(tmp_path, "export")
    for table, number in ((first, 1), (second, 2)):
        table.begin("")
        table.keep(table.stage("a", [row(number)]), FIXED)
    plans = [table.plan(FIXED, True) for table in (first, second)]
    for table, plan in zip((first, second), plans, strict=True):
        for file in plan.files:
            table.write_file(plan, file)
    assert first.publish(plans[0])
    assert not second.publish(plans[1])
    again = second.plan(FIXED, True)
    for file in again.files:
        second.write_file(again, file)
    assert second.publish(again)
    assert count(tmp_path) == 2
    assert first.is_added()


def test_a_table_remembers_the_last_rows_of_each_stream_and_all_exports(tmp_path: Path) -> None:
    write(open_table(tmp_path, "export"), [row(0)])
    for number in range(5):
        add(tmp_path, str(number), [row(number)])
        add(tmp_path, str(number), [row(number)], stream="sb")
    found = open_table(tmp_path).look()
    assert found is not None
    assert found.exports == ("export", "sa-4", "sb-4")


def test_rows_that_were_given_up_are_removed_by_the_next_ones_of_their_stream(tmp_path: Path) -> None:
    open_stream(tmp_path, "1").begin("")
    open_stream(tmp_path, "1", "sb").begin("")
    add(tmp_path, "2", [row(1)])
    left = [name for name in os.listdir(tmp_path / ".gantry" / "t") if name.startswith("op-")]
    assert [name.rpartition("-")[0] for name in left] == ["op-sb-1"]


def test_versions_are_removed_though_others_follow_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "GRACE_SECONDS", 900)
    hidden, old = tmp_path / ".gantry" / "t", time.time() - 1000
    for number in range(4):
        add(tmp_path, str(number), [row(number)])
    versions = sorted(hidden.glob("v-*.json"), key=lambda path: path.stat().st_mtime)
    for path in versions[:3]:
        os.utime(path, (old, old))
        os.utime(path.with_suffix(""), (old, old))
    LocalWarehouse({"p.d": str(tmp_path)}, "mark").sweep(lambda _: True)
    kept = sorted(path.name for path in hidden.glob("v-*.json"))
    assert kept == sorted(path.name for path in versions[2:]), "the third was replaced just now"
    assert count(tmp_path) == 4


def test_who_was_frozen_adds_nothing_that_another_server_has_added(tmp_path: Path) -> None:
    """It has asked before the other one had added these rows, and goes on after."""
    add(tmp_path, "0", [row(0)])
    frozen = open_stream(tmp_path, "1")
    assert not frozen.is_added()
    add(tmp_path, "1", [row(1)])
    with pytest.raises(Aborted, match="another server"):
        write(frozen, [row(1)], appends=True)
    assert count(tmp_path) == 2
    assert frozen.is_added()


@pytest.mark.parametrize("before", [True, False])
def test_who_was_frozen_adds_nothing_that_another_server_has_gone_on_from(tmp_path: Path, before: bool) -> None:
    if before:
        add(tmp_path, "0", [row(0)])
    frozen = open_stream(tmp_path, "1")
    assert not frozen.is_added()
    add(tmp_path, "other", [row(9)], stream="sb")
    for number in (1, 2):
        add(tmp_path, str(number), [row(number)])
    with pytest.raises(Aborted, match="another server"):
        write(frozen, [row(1)], appends=True)
    assert count(tmp_path) == 3 + before


def test_what_other_streams_and_exports_add_meanwhile_stops_nobody(tmp_path: Path) -> None:
    stream = open_stream(tmp_path, "1")
    assert not stream.is_added()
    add(tmp_path, "other", [row(9)], stream="sb")
    write(open_table(tmp_path, "export"), [row(8)], appends=True)
    write(stream, [row(1)], appends=True)
    assert count(tmp_path) == 3 and stream.is_added()
