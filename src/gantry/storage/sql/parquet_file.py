"""A result as a Parquet file: rows go to a file of lines, which a process of its own (``packing``) turns into it."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gantry.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from gantry.query_seams import Batch, Field
from gantry.storage.sql.environment import make_environment
from gantry.system_errors import describe_os_error
from gantry.table_schema import write_duckdb_type

logger = logging.getLogger(__name__)

_MAIN = (sys.executable, "-m", "gantry.storage.sql.packing")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PIECE = 1 << 20


def write_parquet(
    fields: Sequence[Field], batches: Iterable[Batch], directory: Path, seconds: float
) -> Iterator[bytes]:
    """The file, in pieces; what it is made of lies below ``directory`` meanwhile. Raises ResourceExhausted,
    DeadlineExceeded, Unavailable."""
    with _make_home(directory) as home:
        source, target = home / "rows.json", home / "rows.parquet"
        longest = _write_lines(source, fields, batches)
        columns = {field.name: type_of(field) for field in fields}
        _pack({"columns": columns, "longest": longest, "source": str(source), "target": str(target)}, seconds)
        source.unlink()
        with target.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


@contextmanager
def _make_home(directory: Path) -> Iterator[Path]:
    home = ""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        home = tempfile.mkdtemp(dir=directory)
        yield Path(home)
    except OSError as error:
        raise Unavailable(f"the rows cannot be written as Parquet now: {describe_os_error(error)}") from None
    finally:
        if home:
            shutil.rmtree(home, ignore_errors=True)


def _write_lines(path: Path, fields: Sequence[Field], batches: Iterable[Batch]) -> int:
    """The longest line in bytes."""
    longest = 0
    with path.open("wb") as file:
        for batch in batches:
            for row in batch.read():
                line = json.dumps(_name_values(fields, row), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
                longest = max(longest, len(line))
                file.write(line)
    return longest


def _name_values(fields: Sequence[Field], row: Sequence[Any]) -> dict[str, Any]:
    return {field.name: _plain(field, value) for field, value in zip(fields, row, strict=True)}


def _plain(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.mode == "REPEATED":
        return [_plain(field._replace(mode=""), each) for each in value]
    convert = _CONVERT.get(field.type)
    return _name_values(field.fields, value) if field.type == "RECORD" else convert(value) if convert else value


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "JSON": _parse,
    "TIMESTAMP": lambda value: (_EPOCH + timedelta(microseconds=value)).isoformat(),
}


def type_of(field: Field) -> str:
    """The type of a column in DuckDB."""
    fields = ((each.name, type_of(each)) for each in field.fields)
    return write_duckdb_type(field.type, field.mode == "REPEATED", fields)


def _pack(request: dict[str, Any], seconds: float) -> None:
    try:
        done = subprocess.run(
            _MAIN,
            input=json.dumps(request).encode(),
            env=make_environment(),
            cwd="/",
            capture_output=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(
            f"making the file has taken {seconds:g} s, and more it may not take here", advice="ask for fewer rows"
        ) from None
    if done.returncode:
        logger.warning("rows as Parquet: %s", done.stderr[-20_000:].decode("utf-8", "replace"))
        raise ResourceExhausted(
            "the rows cannot be written as Parquet: it needs more memory or more room on the disk than there is",
            advice="ask for fewer rows, or download them as CSV or JSON",
        )
