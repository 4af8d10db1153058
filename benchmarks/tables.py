"""``./run bench tables``: exports of metadata to local tables, and the query that makes a filter file of one.

Small CT slices are imported, a piece at a time, and their files removed: an export of metadata reads none of them.
Memory is the highest that each process had (VmHWM), the pages that it shares with others included.
"""

from __future__ import annotations

import argparse
import shutil
import time
from contextlib import closing, suppress
from pathlib import Path

import duckdb

from benchmarks.corpus import make_corpus
from benchmarks.machine import BenchmarkError, settle, work_directory
from benchmarks.processes import cpu_by_process, spent, tree
from benchmarks.service import Service

_PIECE = 20_000  # instances imported at a time
_REST = 2  # seconds, in which a process loads its libraries
_SIZE = 4_000  # bytes of a slice: hardly more than its header
_MOST_MEGABYTES, _LEAST_ROWS, _MOST_QUERY_SECONDS = 400, 10_000, 1.0
"""Goals: memory of each process, rows per second on two cores, and the query at 1,000,000 rows."""

_HEAD = "    schema        rows   rows/s  CPU µs  MB server  MB worker  MB table"
QUERY = (
    "SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID) "
    "FROM {table} WHERE Modality = 'CT' AND InstanceNumber = '1'"
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks tables", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="instances (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="exports of each schema (%(default)s)")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    with work_directory(options.dir) as work:
        (work / "buckets").mkdir()
        config = work / "gantry.toml"
        config.write_text(f'bigquery = {{ "bench.tables" = "{work / "tables"}" }}\n', encoding="utf-8")
        with Service(work / "data", work / "buckets", config=config) as service:
            service.create_store("bench")
            _fill(service, work / "buckets", options.count)
            print(_HEAD)
            for number in range(options.rounds * 2):
                _export(service, work, "json" if number % 2 else "flattened", options.count)
            found = _query_by_server(service)
        if found != _query(work / "tables"):
            raise BenchmarkError("the server finds other rows than DuckDB")
    return 0


def _fill(service: Service, buckets: Path, count: int) -> None:
    begun = time.perf_counter()
    for number, at in enumerate(range(0, count, _PIECE)):
        corpus = make_corpus(buckets / "piece", min(_PIECE, count - at), _SIZE, 100, seed=number)
        done = service.wait(service.start_import("bench", "gs://piece/**"))
        if int(done["metadata"]["counter"].get("success", 0)) != len(corpus.slices):
            raise BenchmarkError(f"not all objects were imported: {done}")
        shutil.rmtree(corpus.directory)
    print(f"{count:,} instances imported in {time.perf_counter() - begun:.0f} s", flush=True)


def _export(service: Service, work: Path, schema: str, count: int) -> None:
    settle(work)
    _forget_peaks(service.pid)
    before, begun = cpu_by_process(service.pid), time.perf_counter()
    done = service.wait(service.start_table_export("bench", f"bq://bench.tables.{schema}", schema == "json"))
    seconds = time.perf_counter() - begun
    if int(done["metadata"]["counter"].get("success", 0)) != count or "error" in done:
        raise BenchmarkError(f"not all rows were written: {done}")
    cpu = sum(each.total for each in spent(before, cpu_by_process(service.pid)).values()) / count * 1e6
    server, *workers = (_read_peak(pid) / 1e6 for pid in tree(service.pid))
    size = sum(path.stat().st_size for path in (work / "tables" / schema).iterdir()) / 1e6
    figures = f"{count / seconds:>9,.0f}{cpu:>8.0f}{server:>11.0f}{max(workers, default=0):>11.0f}{size:>10.1f}"
    print(f"{schema:>10}{count:>12,}{figures}", flush=True)


def _forget_peaks(pid: int) -> None:
    """The highest memory so far becomes that of now (proc(5), clear_refs)."""
    for each in tree(pid):
        with suppress(OSError):
            Path(f"/proc/{each}/clear_refs").write_text("5")


def _read_peak(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _query_by_server(service: Service) -> int:
    """The recipe by way of BigQuery's API: its process is started for the first query, and waits for those that come
    later. The number of rows."""
    rows = 0
    for which in ("first", "next"):
        time.sleep(_REST)
        begun = time.perf_counter()
        answer = service.query(QUERY.format(table="`bench.tables.flattened`"))
        seconds = time.perf_counter() - begun
        rows = int(answer["totalRows"])
        print(f"{which} query by the server: {rows:,} rows in {seconds:.2f} s (goal: {_MOST_QUERY_SECONDS:g} s)")
    return rows


def _query(tables: Path) -> int:
    """The recipe of the how-to page, by DuckDB on the file of views. The number of rows."""
    found = []
    with closing(duckdb.connect(tables / "tables.duckdb", read_only=True, config={"threads": 2})) as connection:
        for table in ("flattened",):
            begun = time.perf_counter()
            found = connection.execute(QUERY.format(table=table)).fetchall()
            seconds = time.perf_counter() - begun
            print(f"query of {table}: {len(found):,} rows in {seconds:.2f} s (goal: {_MOST_QUERY_SECONDS:g} s)")
    print(
        f"goals: at least {_LEAST_ROWS:,} rows/s flattened on two cores, at most {_MOST_MEGABYTES} MB in each process"
    )
    return len(found)
