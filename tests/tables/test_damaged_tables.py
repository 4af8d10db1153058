"""Tables in a directory of which a part is gone or damaged: who uses another one sees nothing of it, and who uses that
one reads a clear error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from gantry.errors import DataLoss, DiskAway, StatusError
from gantry.storage.sql.catalogue import Catalogue
from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.table_address import TableAddress
from tests.tables.test_local_table import FIXED, open_table, row, write

BAD = TableAddress("p", "d", "bad")


def write_bad(root: Path, key: str = "9") -> Path:
    """Another table beside ``t``; the directory of its version."""
    table = LocalWarehouse({"p.d": str(root)}, "mark").open(BAD, key, f"operation-{key}", 1)
    write(table, [row(7, "g")])
    return (root / "bad").resolve()


def remove_version(version: Path) -> None:
    shutil.rmtree(version)


def remove_files(version: Path) -> None:
    for path in version.iterdir():
        path.unlink()


def cut_files(version: Path) -> None:
    for path in version.iterdir():
        os.truncate(path, path.stat().st_size // 2)


def empty_files(version: Path) -> None:
    for path in version.iterdir():
        os.truncate(path, 0)


DAMAGE = [remove_version, remove_files, cut_files, empty_files]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_table_keeps_no_other_from_being_written(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    write(open_table(tmp_path), [row(1)])
    damage(write_bad(tmp_path))
    write(open_table(tmp_path, "2"), [row(2)], appends=True)
    with duckdb.connect(tmp_path / "d.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


def cut(about: Path) -> None:
    os.truncate(about, about.stat().st_size // 2)


def empty(about: Path) -> None:
    os.truncate(about, 0)


def say_nothing(about: Path) -> None:
    about.write_text("{}")


def say_wrong(about: Path) -> None:
    about.write_text('{"replaced":"","rows":"many","exports":[],"columns":[{"name":1}]}')


ABOUT = [cut, empty, say_nothing, say_wrong]


@pytest.mark.parametrize("damage", ABOUT, ids=lambda damage: damage.__name__)
def test_what_is_known_of_a_table_is_damaged(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    version = write_bad(tmp_path)
    damage(version.with_name(f"{version.name}.json"))
    catalogue = Catalogue({"p.d": str(tmp_path)})
    with pytest.raises(DataLoss, match=r"table d\.bad is damaged"):
        catalogue.find(BAD)
    assert catalogue.list_tables("p", "d") == ["bad"], "it is there"
    table = LocalWarehouse({"p.d": str(tmp_path)}, "mark").open(BAD, "10", "operation-10", 1)
    table.begin("")
    for call in (table.look, lambda: table.plan(FIXED, True)):
        with pytest.raises(DataLoss, match=r"table d\.bad is damaged"):
            call()


def test_what_is_known_of_a_table_is_gone(tmp_path: Path) -> None:
    version = write_bad(tmp_path)
    version.with_name(f"{version.name}.json").unlink()
    with pytest.raises(StatusError, match="bad"):
        Catalogue({"p.d": str(tmp_path)}).find(BAD)
    table = LocalWarehouse({"p.d": str(tmp_path)}, "mark").open(BAD, "10", "operation-10", 1)
    table.begin("")
    with pytest.raises(StatusError) as told:
        table.plan(FIXED, True)
    assert str(tmp_path) not in told.value.message


@pytest.mark.parametrize("name", ["is_dir", "is_symlink", "readlink"])
def test_a_listing_has_no_silent_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A disk that cannot be read for a moment."""
    (tmp_path / "d").mkdir()
    write(open_table(tmp_path / "d"), [row(1)])
    catalogue = Catalogue({"p": str(tmp_path)})
    assert catalogue.list_datasets("p") == ["d"] and catalogue.list_tables("p", "d") == ["t"]

    def fail(*_: object, **__: object) -> bool:
        raise OSError(5, "Input/output error")

    real = os.scandir

    class Entry:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.name, self.path = entry.name, entry.path
            self.is_dir, self.is_symlink = entry.is_dir, entry.is_symlink
            if name != "readlink":
                setattr(self, name, fail)

    monkeypatch.setattr(os, "scandir", lambda path: map(Entry, real(path)))
    if name == "readlink":
        monkeypatch.setattr(os, "readlink", fail)
    with pytest.raises(DiskAway):
        catalogue.list_tables("p", "d") if name != "is_dir" else catalogue.list_datasets("p")


def test_a_dataset_whose_directory_cannot_be_looked_into_is_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    write(open_table(tmp_path / "d"), [row(1)])
    real = os.stat

    def fail(path: object, *args: object, **more: object) -> object:
        if str(path).endswith(".gantry"):
            raise OSError(5, "Input/output error")
        return real(path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(DiskAway):
        Catalogue({"p": str(tmp_path)}).list_datasets("p")


def test_a_name_that_cannot_be_looked_at_now_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operation waits, and does not end."""
    table = open_table(tmp_path)
    write(table, [row(1)])

    def fail(*_: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "readlink", fail)
    with pytest.raises(StatusError) as told:
        table.look()
    assert told.value.waits_for is not None
