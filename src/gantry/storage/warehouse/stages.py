"""Rows that an export has staged: files of lines of JSON, compressed, each with its counts in its name."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from gantry.beats import CALL_SECONDS, beat
from gantry.durable_files import replace_file, sync_directory
from gantry.table_schema import Columns, TableRow, dump_columns, load_columns, merge_columns
from gantry.table_seams import TableFile

_NEW = ".new"
_END = "json.zst"
_COLUMNS = "columns.json"
_COMMON_END = "common.zst"
COMMON = "_common"
"""The member of a row that names what it has in common with others, and of that itself. No element is called so."""

_LEVEL = 1  # of Zstandard: rows of a series are so alike that more gains little
MAX_ROWS, MAX_BYTES = 16_384, 56 << 20
"""Rows, and bytes of their lines, in one Parquet file at most: the writer holds them all to sort them, and needs four
times as much memory."""

_PIECE_BYTES, _READ_BYTES = 16 << 20, 1 << 20


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


def write_stages(directory: Path, name: str, rows: Iterable[TableRow]) -> list[str]:
    """Write rows; they are on the disk, but do not count yet. The names of their files, several where rows are long.
    Raises OSError."""
    coming, files = iter(rows), list[str]()
    while file := _write_piece(directory, f"{name}-{len(files)}", coming):
        files.append(file)
    return files


def _write_piece(directory: Path, name: str, rows: Iterator[TableRow]) -> str:
    """The name of the file, "" when there are no more rows."""
    path, common = directory / f"{name}{_NEW}", directory / f"{name}.common{_NEW}"
    try:
        with closing(_Piece(path, common, name)) as piece:
            for row in rows:
                if piece.add(row) >= _PIECE_BYTES:
                    break
        written = Stage(name, piece.rows, piece.size, piece.longest).file if piece.rows else ""
        if written and piece.has_common:
            _finish(common, directory / f"{common_of(written)}{_NEW}")
        if written:
            _finish(path, directory / f"{written}{_NEW}")
    finally:
        path.unlink(missing_ok=True)
        common.unlink(missing_ok=True)
    return written


class _Piece:
    """Rows on their way to a file, and to another one what they have in common, once for all that have it."""

    def __init__(self, path: Path, common: Path, name: str) -> None:
        self.rows = self.size = self.longest = 0
        self._name, self._common = name, common
        self._own = _Lines(path)
        self._shared: _Lines | None = None
        self._keys: dict[str, tuple[str, int]] = {}

    @property
    def has_common(self) -> bool:
        return bool(self._keys)

    def add(self, row: TableRow) -> int:
        """The bytes of all rows so far, as if each had a line of its own."""
        line, shared = row.own, 0
        if row.common:
            key, shared = self._keys.get(row.common) or self._share(row.common)
            line = f'{line[:-1]},"{COMMON}":"{key}"}}'
        size = self._own.write(line) + shared
        self.rows, self.size, self.longest = self.rows + 1, self.size + size, max(self.longest, size)
        return self.size

    def _share(self, common: str) -> tuple[str, int]:
        """Its key, which no other stage has, and its bytes."""
        key = f"{self._name}/{len(self._keys)}"
        self._shared = self._shared or _Lines(self._common)
        found = self._keys[common] = key, self._shared.write(f'{{"{COMMON}":"{key}"{common}}}')
        return found

    def close(self) -> None:
        with closing(self._own):
            if self._shared is not None:
                self._shared.close()


class _Lines:
    """A new file of compressed lines."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 closed by close()
        self._out: Any = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(self._file, closefd=False)

    def write(self, line: str) -> int:
        """The bytes of the line."""
        data = line.encode("utf-8", "replace") + b"\n"
        self._out.write(data)
        return len(data)

    def close(self) -> None:
        with self._file:
            self._out.close()


def _finish(path: Path, target: Path) -> None:
    beat(CALL_SECONDS)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    os.replace(path, target)


def common_of(file: str) -> str:
    """The file of what the rows in a stage have in common; it is there only if they have something."""
    return f"{file.removesuffix(_END)}{_COMMON_END}"


def read_lines(directory: Path, file: str) -> Iterator[bytes]:
    """The rows of a stage, each as a whole line. Raises OSError."""
    shared = dict[bytes, bytes]()
    with suppress(FileNotFoundError):
        for line in read_raw_lines(directory / common_of(file)):
            _, _, _, key, rest = line.split(b'"', 4)
            shared[key] = rest[:-2]
    mark = f',"{COMMON}":"'.encode()
    for line in read_raw_lines(directory / file):
        own, found, key = line.rpartition(mark)
        yield b"%s%s}\n" % (own, shared[key[:-3]]) if found else line


def read_raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file as it was written. Raises OSError."""
    with open(path, "rb") as source, zstandard.ZstdDecompressor().stream_reader(source) as lines:
        yield from io.BufferedReader(lines, _READ_BYTES)


def take_over(found: Path, own: Path, kept: str) -> None:
    """What an earlier attempt has left in ``found`` becomes this one's: of its rows those that were committed, up to
    ``kept``. Raises OSError."""
    remove_uncommitted(found, kept)
    if not kept:
        (found / _COLUMNS).unlink(missing_ok=True)
    os.replace(found, own)


def read_columns(directory: Path) -> Columns:
    """Those of all rows that were kept. Raises OSError."""
    with suppress(FileNotFoundError):  # none were
        return load_columns((directory / _COLUMNS).read_text(encoding="utf-8"))
    return ()


def keep_stages(directory: Path, files: Iterable[str], known: Columns, columns: Columns) -> Columns:
    """What was written counts from now on; durable on return. The columns of all rows: ``known`` are those of before.
    Raises OSError."""
    merged = merge_columns(known, columns)
    if merged != known:
        replace_file(directory / _COLUMNS, directory / f"{_COLUMNS}{_NEW}", dump_columns(merged).encode())
    accept_stages(directory, files)
    sync_directory(directory)
    return merged


def accept_stages(directory: Path, files: Iterable[str]) -> None:
    """What was written counts from now on; durable once the directory is. Raises OSError."""
    for name in files:
        with suppress(FileNotFoundError):
            os.replace(directory / f"{common_of(name)}{_NEW}", directory / common_of(name))
        os.replace(directory / f"{name}{_NEW}", directory / name)


def list_stages(directory: Path) -> list[Stage]:
    """Those that count, in the order of their names. Raises OSError."""
    return sorted(stage for name in os.listdir(directory) if (stage := Stage.parse(name)) is not None)


def remove_uncommitted(directory: Path, kept: str) -> None:
    """Remove what does not count, and what counts but was not committed: its batch sorts behind ``kept``."""
    for entry in os.scandir(directory):
        stage = Stage.parse(entry.name.replace(_COMMON_END, _END))
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
