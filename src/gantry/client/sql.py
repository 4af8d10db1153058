"""``sql``: asks the server a query of the tables of metadata, and prints the rows, or has them written to a bucket."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

from gantry.client.api import Api, Json
from gantry.client.connection import Connection
from gantry.client.sql_rows import parquet_type, read_object, read_row, write_cell
from gantry.client.terminal import note, printable, say_json, table, write_json
from gantry.errors import FailedPrecondition, InvalidArgument, StatusError
from gantry.languages import _, ngettext
from gantry.libraries import is_installed
from gantry.names import check_segments
from gantry.sizes import format_number
from gantry.table_schema import quote_text

_WAIT_MS = "20000"  # of one request: less than proxies and the client itself wait
_SHOWN = 1000
"""Rows of a table on the terminal: what is longer is for a file."""

_PAUSE_SECONDS = 0.1  # between two looks at an extract


def run(args: Namespace) -> int:
    """Exit code 0, also without a row."""
    text = _read_stdin() if args.query == "-" else args.query
    form = "json" if args.json else args.format
    if form == "parquet":
        _require_parquet(bool(args.to))
    query = _Query(Connection.of(args), text, args.legacy_sql)
    if args.to:
        return _write_to(query, args.to, form, args.json)
    _PRINT[form](query)
    return 0


def _read_stdin() -> str:
    """Raises InvalidArgument."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise InvalidArgument(_("the query is not text in UTF-8")) from None


class _Query:
    """A query that has run."""

    def __init__(self, connection: Connection, text: str, is_legacy: bool) -> None:
        """Raises what the server answers."""
        self.api: Api = connection.api
        self.project = connection.location.project
        check_segments(self.project)
        body = {"query": text, "useLegacySql": is_legacy, "timeoutMs": _WAIT_MS, "maxResults": "0"}
        answer = self._call("POST", "queries", body)
        self.id: str = answer["jobReference"]["jobId"]
        self._answer = self._wait(answer)
        self.fields: Sequence[Json] = self._answer["schema"].get("fields", [])
        self.count = int(self._answer["totalRows"])

    def _wait(self, answer: Json) -> Json:
        with self._cancelling(self.id):
            while not answer["jobComplete"]:
                answer = self._call("GET", f"queries/{self.id}", timeoutMs=_WAIT_MS, maxResults="0")
        return answer

    @contextmanager
    def _cancelling(self, job: str) -> Iterator[None]:
        """Ctrl-C ends the job, too."""
        try:
            yield
        except KeyboardInterrupt:
            with suppress(StatusError):  # who has interrupted it waits for nothing more
                self._call("POST", f"jobs/{job}/cancel", {})
            raise

    def rows(self) -> Iterator[Json]:
        """Page after page."""
        query = {"formatOptions.useInt64Timestamp": "true", "timeoutMs": _WAIT_MS}
        while True:
            page = self._call("GET", f"queries/{self.id}", None, **query)
            yield from page.get("rows", ())
            if not page.get("pageToken"):
                return
            query["pageToken"] = page["pageToken"]

    def extract(self, uri: str, form: str) -> Json:
        """Have the rows written to a bucket. A single column is a filter file, which has no header."""
        table = self._call("GET", f"jobs/{self.id}")["configuration"]["query"]["destinationTable"]
        config = {
            "sourceTable": table,
            "destinationUris": [uri],
            "destinationFormat": "NEWLINE_DELIMITED_JSON" if form == "json" else "CSV",
            "printHeader": len(self.fields) != 1,
        }
        job = self._call("POST", "jobs", {"configuration": {"extract": config}})
        with self._cancelling(job["jobReference"]["jobId"]):
            while job["status"]["state"] != "DONE":
                time.sleep(_PAUSE_SECONDS)
                job = self._call("GET", f"jobs/{job['jobReference']['jobId']}")
        if error := job["status"].get("errorResult"):
            raise FailedPrecondition(str(error["message"]))
        return job

    def _call(self, verb: str, path: str, body: Json | None = None, **query: str) -> Json:
        return self.api.call(verb, f"/bigquery/v2/projects/{self.project}/{path}", query, body)


def _write_to(query: _Query, uri: str, form: str, as_json: bool) -> int:
    query.extract(uri, form)
    if as_json:
        say_json({"uri": uri, "rows": query.count, "columns": [field["name"] for field in query.fields]})
    else:
        text = ngettext("wrote {count} row to {uri}", "wrote {count} rows to {uri}", query.count)
        note(text.format(count=format_number(query.count), uri=uri))
    if len(query.fields) != 1:
        text = _("it has {count} columns, with their names in the first line; a filter file has one column: the paths")
        note(text.format(count=len(query.fields)))
    return 0


def _print_table(query: _Query) -> None:
    rows = [list(map(write_cell, read_row(query.fields, row))) for row in islice(query.rows(), _SHOWN)]
    numbers = [field["name"] for field in query.fields if field["type"] in ("INTEGER", "FLOAT", "NUMERIC")]
    table([field["name"] for field in query.fields], rows, numbers)
    if query.count > len(rows):
        text = _("{count} rows, of which {shown} are shown; give --format csv for all")
        note(text.format(count=format_number(query.count), shown=format_number(len(rows))))


def _print_csv(query: _Query) -> None:
    """A file gets all as it is; of what a terminal shows it acts on nothing."""
    show = printable if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([show(field["name"]) for field in query.fields])
    for row in query.rows():
        writer.writerow(map(show, map(write_cell, read_row(query.fields, row))))


def _print_json(query: _Query) -> None:
    """A list, with a line for each row."""
    separator = "["
    for row in query.rows():
        print(separator)
        print(f"  {write_json(read_object(query.fields, row))}", end="")
        separator = ","
    print("[]" if separator == "[" else "\n]")


def _require_parquet(is_remote: bool) -> None:
    if is_remote:
        raise InvalidArgument(_("--to: writes CSV or JSON; leave --to out and redirect the output for Parquet"))
    if sys.stdout.isatty():
        raise InvalidArgument(_("--format parquet: redirect the output to a file"))
    if not is_installed("duckdb"):
        problem = _("--format parquet: needs a library that is not installed: {command}")
        raise FailedPrecondition(problem.format(command="`pip install 'gantry-dicom[tables]'`"))


def _print_parquet(query: _Query) -> None:
    from gantry.storage.warehouse import parquet

    with tempfile.TemporaryDirectory() as home:
        source, target = Path(home, "rows.json"), Path(home, "rows.parquet")
        _write_lines(source, (read_object(query.fields, row) for row in query.rows()))
        types = (f"{quote_text(field['name'])}: {quote_text(parquet_type(field))}" for field in query.fields)
        options = f"columns={{{', '.join(types)}}}, format='newline_delimited', maximum_object_size={200 << 20}"
        read = f"FROM read_json({quote_text(str(source))}, {options})"
        with closing(parquet.connect(Path(home))) as connection:
            parquet.run(connection, f"COPY ({read}) TO {quote_text(str(target))} (FORMAT parquet)")
        sys.stdout.flush()
        with target.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _write_lines(path: Path, rows: Iterable[Json]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


_PRINT = {"table": _print_table, "csv": _print_csv, "json": _print_json, "parquet": _print_parquet}
