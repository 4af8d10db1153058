"""Rows of a result as the lines of a filter file: ``/studies/U[/series/U[/instances/U]]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from gantry.errors import InvalidArgument
from gantry.names import OTHER_UID
from gantry.query_seams import Batch, Field
from gantry.querying.writing import write_rows
from gantry.seams import BucketUse, Seams
from gantry.storage.uris import StorageUri
from gantry.worker_calls import Check

_COLUMNS = (("study", "StudyInstanceUID"), ("series", "SeriesInstanceUID"), ("instance", "SOPInstanceUID"))
_PARTS = ("/studies/", "/series/", "/instances/")
_PATH = re.compile(rf"/studies/{OTHER_UID}(?:/series/{OTHER_UID}(?:/instances/{OTHER_UID})?)?")
_UID = re.compile(OTHER_UID)


class Lines(NamedTuple):
    """How rows become lines. ``level`` is what a line names: study, series or instance; "path" where the rows are
    lines already. ``columns`` are the numbers of the columns that are used."""

    level: str
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FilterFile:
    """Where lines are written: ``resource`` is the dataset that the rules of buckets know, ``writer`` makes temporary
    names unique."""

    uri: StorageUri
    resource: str
    writer: str


def find_lines(fields: Sequence[Field], first: Sequence[Any] | None) -> Lines | None:
    """How the rows of a result name instances, by its columns and its ``first`` row; None where they name none."""
    places = {field.name.lower(): number for number, field in enumerate(fields) if _is_text(field)}
    columns: list[int] = []
    for _, name in _COLUMNS:
        if (place := places.get(name.lower())) is None:
            break
        columns.append(place)
    if columns:
        return Lines(_COLUMNS[len(columns) - 1][0], tuple(columns))
    is_path = len(fields) == 1 and _is_text(fields[0]) and first and str(first[0]).startswith("/studies/")
    return Lines("path", (0,)) if is_path else None


def _is_text(field: Field) -> bool:
    return field.type == "STRING" and field.mode != "REPEATED"


def list_lines(lines: Lines, batches: Iterable[Batch]) -> Iterator[bytes]:
    """A line for each row. Raises InvalidArgument for a row that names nothing: without one of its UIDs a line would
    name more than was asked for."""
    number = 0
    for batch in batches:
        written = []
        for row in batch.read():
            number += 1
            written.append(_write_line(lines, row, number))
        yield "".join(written).encode()


def _write_line(lines: Lines, row: Sequence[Any], number: int) -> str:
    values = [str(row[column] or "") for column in lines.columns]
    if lines.level == "path":
        if _PATH.fullmatch(values[0]) is None:
            raise InvalidArgument(f"row {number:,} of the result is no path: {values[0][:200]!r}")
        return f"{values[0]}\n"
    for value, (_, name) in zip(values, _COLUMNS, strict=False):
        if _UID.fullmatch(value) is None:
            raise InvalidArgument(f"{name} of row {number:,} of the result is no UID: {value[:100]!r}")
    return "".join(f"{part}{value}" for part, value in zip(_PARTS, values, strict=False)) + "\n"


def write_filter(seams: Seams, file: FilterFile, lines: Lines, batches: Iterable[Batch], check: Check) -> int:
    """The number of lines. Raises InvalidArgument, and as ``write_rows``."""
    use = BucketUse(file.uri.bucket, "write", file.uri.key, file.resource, file.writer)
    return write_rows(seams, use, partial(list_lines, lines), batches, check)
