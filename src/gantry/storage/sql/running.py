"""One query, translated and run by DuckDB, which can open nothing but the files of its tables. Needs ``tables``."""

from __future__ import annotations

import errno
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
from sqlglot import exp

from gantry.errors import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, StatusError, Unavailable
from gantry.query_seams import Batch, Field, Parameter
from gantry.storage.sql import macros
from gantry.storage.sql.catalogue import Catalogue, FoundTable
from gantry.storage.sql.limits import QueryLimits
from gantry.storage.sql.lowering import lower
from gantry.storage.sql.parsing import find_places, parse
from gantry.storage.sql.values import find_cast, make_converters, make_field
from gantry.storage.warehouse.parquet import find_errno
from gantry.table_address import TableAddress
from gantry.table_schema import Column, quote_name, quote_text

logger = logging.getLogger(__name__)

_ROWS, _BYTES = 64, 1 << 20
"""Rows that are taken from DuckDB at a time, and bytes of a batch: a row may have many MB."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MOST_ROW = 100 << 20  # bytes, as in BigQuery


class Prepared:
    """A query that is ready to run. ``fields`` are the columns of its result."""

    def __init__(
        self,
        request: Mapping[str, Any],
        limits: QueryLimits,
        spills: str,
    ) -> None:
        """Raises InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, DiskAway."""
        self._text = request["text"]
        self._tree = parse(self._text, request["legacy"])
        original = self._tree.copy()
        find = _make_find(Catalogue(request["roots"]), frozenset(request["denied"]), request.get("version", ""))
        dataset = tuple(request["dataset"]) if request["dataset"] else None
        parameters = [Parameter(*each) for each in request["parameters"]]
        lowered = lower(self._tree, request["project"], dataset, parameters, find)
        self._tree = original
        self.tables = lowered.tables
        self._connection = _connect(limits, spills)
        _show(self._connection, self.tables)
        _lock(self._connection, self.tables)
        self._sql, self._limits = lowered.sql, limits
        self.fields, self._kinds = self._describe()

    def _describe(self) -> tuple[tuple[Field, ...], list[Any]]:
        with _Told(self._tree, self._text):
            statements = duckdb.extract_statements(self._sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise InvalidArgument("only a single SELECT can be run")
            relation = self._connection.sql(self._sql)  # not run before somebody asks for a row
            names, kinds = relation.columns, list(relation.types)
        _require_different(names)
        return tuple(make_field(name, kind) for name, kind in zip(names, kinds, strict=True)), kinds

    def read(self) -> Iterator[Batch]:
        """Raises InvalidArgument, ResourceExhausted."""
        converters = make_converters(self.fields)
        columns = [(number, convert) for number, convert in enumerate(converters) if convert is not None]
        total, most = 0, self._limits.result_megabytes << 20
        with _Told(self._tree, self._text):
            self._connection.execute(self._wrapped())
        rows: list[str] = []
        size = 0
        while found := self._fetch():
            for row in map(list, found):
                for number, convert in columns:
                    row[number] = convert(row[number])
                text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str)
                size += len(text)
                rows.append(text)
                if size > _MOST_ROW:
                    raise ResourceExhausted("Response too large: a row has more than 100 MB")
                if size > _BYTES:
                    yield _pack(rows)
                    total, size, rows = total + size, 0, []
                    if total > most:
                        raise _too_large(most)
        if rows:
            yield _pack(rows)

    def _fetch(self) -> Sequence[tuple[Any, ...]]:
        with _Told(self._tree, self._text):
            found: Sequence[tuple[Any, ...]] = self._connection.fetchmany(_ROWS)
            return found

    def _wrapped(self) -> str:
        """Values of TIMESTAMP come without a time zone: all are UTC."""
        casts = list(map(find_cast, self._kinds))
        if not any(casts):
            return self._sql
        columns = (
            f"CAST({quote_name(field.name)} AS {cast}) AS {quote_name(field.name)}" if cast else quote_name(field.name)
            for field, cast in zip(self.fields, casts, strict=True)
        )
        return f"SELECT {', '.join(columns)} FROM ({self._sql}\n)"  # noqa: S608 - names are quoted


def _pack(rows: Sequence[str]) -> Batch:
    return Batch(len(rows), f"[{','.join(rows)}]".encode("utf-8", "replace"))


def _too_large(most: int) -> ResourceExhausted:
    return ResourceExhausted(
        f"Response too large to return: a result has at most {most >> 20:,} MB here",
        advice="select fewer columns or rows, or raise the setting query_result_megabytes",
    )


def _make_find(catalogue: Catalogue, denied: frozenset[str], version: str) -> Any:
    def find(address: TableAddress) -> FoundTable:
        if address.project in denied:
            raise PermissionDenied(
                f"Access Denied: Table {address.project}:{address.dataset}.{address.table}: Permission "
                f"bigquery.tables.getData denied on project {address.project} (or the table may not exist)"
            )
        return catalogue.find(address, version)

    return find


def _connect(limits: QueryLimits, spills: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": limits.threads,
            "memory_limit": f"{limits.megabytes}MiB",
            "temp_directory": spills,
            "max_temp_directory_size": f"{limits.spill_megabytes}MiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_persistent_secrets": False,
            "python_enable_replacements": False,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    for statement in macros.STATEMENTS:
        connection.execute(statement)
    return connection


def _show(connection: duckdb.DuckDBPyConnection, tables: Sequence[FoundTable]) -> None:
    """A view of each table, of its columns alone: readers of Parquet have more, such as the name of the file."""
    for number, table in enumerate(tables):
        files = ", ".join(map(quote_text, table.files))
        columns = ", ".join(map(_read_column, table.columns))
        query = f"SELECT {columns} FROM read_parquet([{files}])"  # noqa: S608 - names are quoted
        try:
            connection.execute(f"CREATE VIEW _t{number} AS {query}")
        except duckdb.Error:
            logger.exception("table %s cannot be opened", table.info.address)
            raise Unavailable(
                f"table {table.info.address} cannot be read now; the server's log has the details"
            ) from None


def _read_column(column: Column) -> str:
    """An array is never NULL: rows of instances without the element have an empty one."""
    name = quote_name(column.name)
    return f"coalesce({name}, []) AS {name}" if column.repeated else name


def _lock(connection: duckdb.DuckDBPyConnection, tables: Sequence[FoundTable]) -> None:
    """From here on nothing but the directories of these tables can be opened, and no setting can be changed."""
    directories = ", ".join(quote_text(str(table.directory)) for table in tables)
    connection.execute(f"SET allowed_directories = [{directories}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _require_different(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise InvalidArgument(
                f"Duplicate column names in the result are not supported. Found duplicate(s): {name[:100]}"
            )
        seen.add(name.lower())


_NAMES = (
    (re.compile(r'Referenced column "([^"/]+)" not found'), "Unrecognized name: {}"),
    (re.compile(r'Referenced table "([^"/]+)" not found'), "Unrecognized name: {}"),
    (re.compile(r'Column "([^"/]+)" referenced that exists in the SELECT'), "Unrecognized name: {}"),
    (re.compile(r'does not have a column named "([^"/]+)"'), "Unrecognized name: {}"),
    (re.compile(f"({macros.DIVISION_BY_ZERO}|{macros.NEGATIVE})"), "{}"),
    (re.compile(r"Cannot create a (string) of size"), "A {} would have more bytes than it may"),
    (re.compile(r"Could not find key \"([^\"/]+)\" in struct"), "Field name {} does not exist in its record"),
    (re.compile(r'column "([^"/]+)" must appear in the GROUP BY'), "{} is neither grouped nor aggregated"),
    (re.compile(r'Ambiguous reference to column name "([^"/]+)"'), "Column name {} is ambiguous"),
    (re.compile(r'Column "([^"/]+)" in EXCLUDE list not found'), "Column {} in EXCEPT list does not exist"),
    (re.compile(r'Column "([^"/]+)" in REPLACE list not found'), "Column {} in REPLACE list does not exist"),
    (re.compile(r"Could not convert string '([^'/]*)' to"), "Bad value: {!r} cannot be converted"),
    (re.compile(r"No function matches the given name and argument types '(\w+)\("), "No matching signature for {}"),
    (re.compile(r"aggregate function calls cannot be (nested)"), "Aggregations of aggregations are not allowed"),
    (
        re.compile(r"(WHERE) clause cannot contain aggregates"),
        "Aggregate functions are not allowed in the WHERE clause",
    ),
)
"""What DuckDB says, by the names in it; what is said instead. None of its own words reaches a caller."""


class _Told:
    """Errors of DuckDB become those of the port."""

    def __init__(self, tree: exp.Query, text: str) -> None:
        self._tree, self._text = tree, text

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        if isinstance(error, duckdb.Error | MemoryError | RecursionError):
            logger.info("a query ends with an error of DuckDB: %s", error)
            raise self._tell(error) from None

    def _tell(self, error: BaseException) -> StatusError:
        is_full = isinstance(error, duckdb.IOException) and find_errno(error) in _FULL  # nothing but spills is written
        if is_full or isinstance(error, duckdb.OutOfMemoryException | MemoryError):
            return ResourceExhausted(
                "Resources exceeded during query execution: it needs more memory, or more room on the disk, than it may"
            )
        said = f"{error}"
        for pattern, words in _NAMES:
            if (match := pattern.search(said)) is not None:
                return InvalidArgument(words.format(match[1][:100]) + self._place(match[1]))
        if isinstance(error, duckdb.IOException):
            logger.warning("a query cannot read its tables: %s", error)
            return Unavailable("the tables cannot be read now; the server's log has the details")
        if isinstance(error, duckdb.CatalogException):
            return NotFound("the query names a table or a function that does not exist")
        return InvalidArgument("the query cannot be run: a type or a value in it does not fit, or something is missing")

    def _place(self, name: str) -> str:
        place = next(find_places(self._tree, self._text, name), "")
        return f" at [{place}]" if place else ""
