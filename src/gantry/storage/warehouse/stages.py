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
MAX_ROWS, MAX_BYTES = 16_384, 56 << 20
"""Rows, and bytes of their lines, in one Parquet file at most: the writer holds them all to sort them, and needs four
times as much memory."""

_PIECE_BYTES = 8 << 20


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


def write_stages(directory: Path, name: str, rows: Iterable[str]) -> list[str]:
    """Write rows; they are on the disk, but do not count yet. The names of their files, several where rows are long.
    Raises OSError."""
    coming, files = iter(rows), list[str]()
    while file := _write_piece(directory, f"{name}-{len(files)}", coming):
        files.append(file)
    return files


def _write_piece(directory: Path, name: str, rows: Iterator[str]) -> str:
    """The name of the file, "" when there are no more rows."""
    count = size = longest = 0
    path = directory / f"{name}{_NEW}"
    try:
        with open(path, "wb") as file, zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as out:
            for row in rows:
                line = row.encode("utf-8", "replace") + b"\n"
                out.write(line)
                count, size, longest = count + 1, size + len(line), max(longest, len(line))
                if size >= _PIECE_BYTES:
                    break
        written = Stage(name, count, size, longest).file if count else ""
        if written:
            _finish(path, directory / f"{written}{_NEW}")
    finally:
        path.unlink(missing_ok=True)
    return written


def _finish(path: Path, target: Path) -> None:
    beat(CALL_SECONDS)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    os.replace(path, target)


def accept_stages(directory: Path, files: Iterable[str]) -> None:
    """What was written counts from now on; durable once the directory is. Raises OSError."""
    for name in files:
        os.replace(directory / f"{name}{_NEW}", directory / name)


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
        rows, size = sum(each.rows for each in group), sum(each.size for each in group)
        if group and (rows + stage.rows > most_rows or size + stage.size > most_bytes):
            yield _make_file(first, group)
            first, group = first + 1, []
        group.append(stage)
    if group:
        yield _make_file(first, group)


def _make_file(number: int, group: list[Stage]) -> TableFile:
    names = tuple(stage.file for stage in group)
    return TableFile(number, sum(stage.rows for stage in group), names, max(stage.longest for stage in group))
