"""Rows that an export has staged: files of lines of JSON, compressed, each with its counts in its name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

from gantry.beats import CALL_SECONDS, beat
from gantry.table_seams import TableFile

_NEW = ".new"
_END = "json.zst"
_LEVEL = 1  # of Zstandard: rows of a series are so alike that more gains little
MAX_ROWS, MAX_BYTES = 16_384, 80 << 20
"""Rows, and bytes of their lines, in one Parquet file at most: the writer holds them all to sort them."""


class Stage(NamedTuple):
    """``NAME.ROWS.SIZE.LONGEST.json.zst``: sizes in bytes of all lines, and of the longest."""

    name: str
    rows: int
    size: int
    longest: int

    @property
    def file(self) -> str:
        return f"{self.name}.{self.rows}.{self.size}.{self.longest}.{_END}"

    @classmethod
    def parse(cls, file: str) -> Stage | None:
        """None for a file that is none, or that does not count yet."""
        name, *numbers = file.removesuffix(f".{_END}").rsplit(".", 3)
        if not file.endswith(_END) or len(numbers) != 3 or not all(map(str.isdecimal, numbers)):
            return None
        return cls(name, *map(int, numbers))

    @property
    def batch(self) -> str:
        """What comes before the first dot of the name: names of batches sort like their commits."""
        return self.name.partition(".")[0]


def write_stage(directory: Path, name: str, rows: Iterable[str]) -> int:
    """Write rows; they are on the disk, but do not count yet. The number of rows. Raises OSError."""
    count = size = longest = 0
    path = directory / f"{name}{_NEW}"
    try:
        with open(path, "wb") as file, zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as out:
            for row in rows:
                line = row.encode("utf-8", "replace") + b"\n"
                out.write(line)
                count, size, longest = count + 1, size + len(line), max(longest, len(line))
        if count:
            _finish(path, directory / f"{Stage(name, count, size, longest).file}{_NEW}")
    finally:
        path.unlink(missing_ok=True)
    return count


def _finish(path: Path, target: Path) -> None:
    beat(CALL_SECONDS)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    os.replace(path, target)


def accept_stages(directory: Path, names: Iterable[str]) -> None:
    """What was written under these names counts from now on. Durable once the directory is. Raises OSError."""
    wanted = set(names)
    for entry in os.scandir(directory):
        stage = Stage.parse(entry.name.removesuffix(_NEW)) if entry.name.endswith(_NEW) else None
        if stage is not None and stage.name in wanted:
            os.replace(entry.path, directory / stage.file)


def list_stages(directory: Path) -> list[Stage]:
    """Those that count, in the order of their names. Raises OSError."""
    return sorted(stage for name in os.listdir(directory) if (stage := Stage.parse(name)) is not None)


def remove_uncommitted(directory: Path, kept: str) -> None:
    """Remove what does not count, and what counts but was not committed: its batch sorts behind ``kept``."""
    for entry in os.scandir(directory):
        stage = Stage.parse(entry.name)
        if entry.name.endswith(_NEW) or (stage is not None and stage.batch > kept):
            os.unlink(entry.path)


def cut_files(
    stages: Iterable[Stage], first: int = 0, most_rows: int = MAX_ROWS, most_bytes: int = MAX_BYTES
) -> Iterator[TableFile]:
    """The files that are made of stages, numbered from ``first`` on."""
    group: list[Stage] = []
    for stage in stages:
        if group and (sum(s.rows for s in group) + stage.rows > most_rows or sum(s.size for s in group) > MAX_BYTES):
            yield _make_file(first, group)
            first, group = first + 1, []
        group.append(stage)
    if group:
        yield _make_file(first, group)


def _make_file(number: int, group: list[Stage]) -> TableFile:
    names = tuple(stage.file for stage in group)
    return TableFile(number, sum(stage.rows for stage in group), names, max(stage.longest for stage in group))
