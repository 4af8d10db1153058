"""The port of queries: SQL over the tables of metadata that the settings give a place. Adapters implement it.

Directories of Parquet files are such a place (``storage.sql``). Names of types and modes are those of BigQuery.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from gantry.errors import FailedPrecondition, NotFound
from gantry.table_address import TableAddress
from gantry.worker_calls import Check


class Field(NamedTuple):
    """A column of a result or a table. ``fields`` are those of a RECORD."""

    name: str
    type: str
    mode: str = "NULLABLE"
    fields: tuple[Field, ...] = ()


class Parameter(NamedTuple):
    """The value of ``@name``, or of a ``?`` where it has no name. ``type`` as SQL writes it: ``INT64``,
    ``ARRAY<STRING>``; ``value`` is text, a list of texts, or None for NULL."""

    name: str
    type: str
    value: str | list[str | None] | None


@dataclass(frozen=True, slots=True)
class Query:
    """``text`` in GoogleSQL, or in legacy SQL. Tables without a project are in ``project``, those without a dataset in
    ``dataset`` (project, dataset). ``may_read`` says of a project whether its tables may be read by who asks. With
    ``is_dry`` nothing is read: the answer has columns and no rows. ``version``: its table is read as it was then
    (``TableInfo``), which is NotFound some minutes after it was replaced."""

    text: str
    project: str
    dataset: tuple[str, str] | None = None
    is_legacy: bool = False
    parameters: tuple[Parameter, ...] = ()
    may_read: Callable[[str], bool] = lambda project: True
    is_dry: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows. ``text`` is their JSON: a list of rows, each a list of values in the order of the columns.

    A value is text for STRING, JSON, NUMERIC, BYTES (base64), DATE (``2024-01-31``), TIME (``23:59:59.500000``),
    DATETIME (``2024-01-31T23:59:59``), and INTERVAL; a number for INTEGER and FLOAT (NaN and the infinities are texts:
    "NaN", "Infinity", "-Infinity"); microseconds since 1970 for TIMESTAMP; true or false for BOOLEAN; a list for what
    is REPEATED, and for a RECORD a list of the values of its fields; null for NULL.
    """

    count: int
    text: bytes

    def read(self) -> list[list[Any]]:
        found: list[list[Any]] = json.loads(self.text)
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """``batches`` can be read once, while the query is open. ``tables`` are those that the query names, ``read_bytes``
    the size of their files."""

    fields: tuple[Field, ...]
    tables: tuple[TableAddress, ...]
    read_bytes: int
    batches: Iterator[Batch] = field(default_factory=lambda: iter(()))


class TableInfo(NamedTuple):
    """A table as it is now; ``size`` of its files in bytes, ``version`` changes with all that is in it."""

    address: TableAddress
    fields: tuple[Field, ...]
    rows: int
    size: int
    modified: datetime
    version: str


class QueryEngine(Protocol):
    """Safe to use from many threads."""

    @property
    def scratch(self) -> str:
        """A directory that all servers with the same tables share, for results. "" where there is none."""
        ...

    def run(self, query: Query, check: Check | None = None) -> AbstractContextManager[Answer]:
        """Run a query while the block runs; its rows come as they are read, in bounded memory. ``check`` is called
        several times a second, and ends it by an exception.

        Raises InvalidArgument that names the place in the text, NotFound, PermissionDenied, DeadlineExceeded,
        ResourceExhausted where the query needs more than it may; FailedPrecondition where no table has a place.
        """
        ...

    def write_parquet(self, fields: Sequence[Field], batches: Iterable[Batch]) -> Iterator[bytes]:
        """Rows of a result as a Parquet file, in pieces. Raises ResourceExhausted, DeadlineExceeded, Unavailable."""
        ...

    def close(self) -> None:
        """End what waits for queries."""
        ...

    def list_projects(self) -> Sequence[str]:
        """Projects that have a place."""
        ...

    def list_datasets(self, project: str) -> Sequence[str]:
        """Datasets of a project that exist. Raises DiskAway."""
        ...

    def list_tables(self, project: str, dataset: str) -> Sequence[str]:
        """Raises NotFound, DiskAway."""
        ...

    def look(self, address: TableAddress, version: str = "") -> TableInfo:
        """As it is now, or was as this ``version``. Raises NotFound, DiskAway."""
        ...


class NoQueries:
    """Where no setting gives tables a place."""

    scratch = ""

    def run(self, query: Query, check: Check | None = None) -> AbstractContextManager[Answer]:
        """Raises FailedPrecondition."""
        raise FailedPrecondition(
            "this server has no tables to query", advice="its setting bigquery can name directories for them"
        )

    def write_parquet(self, fields: Sequence[Field], batches: Iterable[Batch]) -> Iterator[bytes]:
        """Raises FailedPrecondition."""
        raise FailedPrecondition("this server has no tables to query")

    def close(self) -> None: ...

    def list_projects(self) -> Sequence[str]:
        return ()

    def list_datasets(self, project: str) -> Sequence[str]:
        return ()

    def list_tables(self, project: str, dataset: str) -> Sequence[str]:
        raise NotFound(f"Not found: Dataset {project}:{dataset}")

    def look(self, address: TableAddress, version: str = "") -> TableInfo:
        raise NotFound(f"Not found: Table {address.project}:{address.dataset}.{address.table}")


NO_QUERIES = NoQueries()
