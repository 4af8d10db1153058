"""``./run bench rows``: the index alone, on both databases, with few rows and with many.

Rows are written through the index's own commits. Then batches of 128 instances and searches are timed, in
milliseconds, and the bytes of rows and indexes counted. There are no blobs, no workers, and no HTTP.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import insert, text
from tests.support import postgresql

from benchmarks.machine import work_directory
from benchmarks.search_growth import SERIES_PER_STUDY, instances
from gantry.errors import Interrupted
from gantry.index.dialect import is_sqlite
from gantry.index.sql import SqlIndex
from gantry.index.tables import selection
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import Level, Match, Operator, Query
from gantry.resources import Batch, Dataset, DicomStore, Instance, Method, Operation

BATCH, FILLING = 128, 2048
STORE = DicomStoreName("bench", "us-central1", "bench", "bench")
_RUNNER, _SIZE, _ALIGNED = "runner", 530_000, 532_480
_TIMED = 60
_PER_SERIES = 10
_PER_STUDY = _PER_SERIES * SERIES_PER_STUDY
_SYLLABLES = [
    "an",
    "ber",
    "cal",
    "dor",
    "el",
    "fa",
    "gri",
    "hol",
    "in",
    "ja",
    "ka",
    "lor",
    "mi",
    "no",
    "ol",
    "pe",
    "qui",
    "ro",
    "sta",
    "tu",
    "ul",
    "ves",
    "wen",
    "xi",
    "yo",
    "zu",
]


class Filled(NamedTuple):
    """An index with one store, and the operation that fills it. ``more`` are instances that it has not yet."""

    database: SqlIndex
    store: DicomStore
    operation: Operation
    more: Iterator[Instance]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks rows", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000], help="(%(default)s)")
    parser.add_argument("--selected", type=int, default=1_000_000, help="rows of a filter (%(default)s)")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one of both databases")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    with work_directory(options.dir) as work:
        for name, start in (("sqlite", _open_sqlite), ("postgresql", _open_postgresql)):
            if options.only in (None, name):
                with start(work) as url, closing(SqlIndex(url)) as index:
                    print(f"\n{name}", flush=True)
                    _measure(_begin(index, max(options.rows) + 2 * len(options.rows) * _TIMED * BATCH), options.rows)
                    _select_and_finish(index, options.selected)
    return 0


@contextmanager
def _open_sqlite(work: Path) -> Iterator[str]:
    yield f"sqlite:///{work / 'index.sqlite'}"


@contextmanager
def _open_postgresql(_work: Path) -> Iterator[str]:
    postgresql.require()
    server = postgresql.PostgresServer(postgresql.DURABLE)
    try:
        with closing(postgresql.Databases(server.url)) as databases:
            yield postgresql.to_text(databases.make())
    finally:
        server.close()


def _begin(index: SqlIndex, most: int) -> Filled:
    dataset = STORE.parent
    index.resources.create_dataset(Dataset(dataset), "v1")
    index.resources.create_dicom_store(DicomStore(STORE))
    index.operations.create_operation(dataset, "v1", Method.IMPORT_DICOM_DATA, {}, str(STORE))
    operation = index.operations.claim_operation(_RUNNER)
    assert operation is not None
    every = enumerate(instances(most + _PER_STUDY, name_of=make_name, per_series=_PER_SERIES))
    more = (item._replace(blob_key=_place(number), size=_SIZE) for number, item in every)
    return Filled(index, index.resources.get_dicom_store(STORE), operation, more)


def _place(number: int) -> str:
    """In a segment for each batch."""
    batch, inside = divmod(number, BATCH)
    return f"main/1/1234567890123456789/1-0/{batch:08d}.0-0.seg@{inside * _ALIGNED}+{_SIZE}"


def make_name(study: int) -> str:
    """Of 26³ family names, some far more frequent than others, and 26² given ones."""
    chance = Random(study)
    family = "".join(_SYLLABLES[min(chance.randrange(26), chance.randrange(26))] for _ in range(3))
    return f"{family.title()}^{chance.choice(_SYLLABLES).title()}{chance.choice(_SYLLABLES)}"


def _measure(filled: Filled, steps: list[int]) -> None:
    done = 0
    for rows in steps:
        begun = time.monotonic()
        while done < rows:
            done += _commit(filled, min(FILLING, rows - done))
        seconds = time.monotonic() - begun
        print(f"{done:>12,} rows, {seconds:.0f} s", flush=True)
        times = [_timed(lambda: _commit(filled)) for _ in range(_TIMED)]
        done += _TIMED * BATCH
        _tell("batch of 128", times)
        for name, ask in list_searches(filled, done // _PER_STUDY):
            _tell(name, [_timed(ask) for _ in range(_TIMED)])
    _tell_sizes(filled.database, done)


def _commit(filled: Filled, count: int = BATCH) -> int:
    new = tuple(islice(filled.more, count))
    segments = tuple({item.blob_key.partition("@")[0] for item in new})
    filled.database.operations.commit_batch(filled.operation, _RUNNER, Batch("key", new, segments=segments))
    return len(new)


def list_searches(filled: Filled, studies: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each as the search of DICOMweb makes it, about another study each time."""
    chance, search = Random(1), filled.database.search
    some = search.search_studies(STORE, Query(Level.STUDY, ResourcePath(""), (), limit=1))[0]

    def find(field: str, operator: Operator, *values: Callable[[int], str], **how: Any) -> Callable[[], Any]:
        def ask() -> Any:
            study = chance.randrange(studies)
            match = Match(Level.STUDY, field, operator, tuple(each(study) for each in values))
            return search.search_studies(STORE, Query(Level.STUDY, ResourcePath(""), (match,), **how))

        return ask

    yield "PatientID", find("patient_id", Operator.EQUALS, lambda study: f"P{study:07d}")
    yield "StudyDate, one month", find("study_date", Operator.RANGE, lambda _: "20500301", lambda _: "20500331")
    yield "PatientName ABC*", find("patient_name", Operator.WILDCARD, lambda study: f"{_family(study)}*")
    yield "PatientName *BC*", find("patient_name", Operator.WILDCARD, lambda study: f"*{_family(study)[1:]}*")
    yield "PatientName, fuzzy", find("patient_name", Operator.WORDS, _family)
    for offset in (0, studies // 2):
        query = Query(Level.STUDY, ResourcePath(""), (), limit=100, offset=offset)
        yield f"a page, offset {offset}", partial(search.search_studies, STORE, query)
    in_study = Query(Level.SERIES, ResourcePath(some.study_instance_uid))
    series = search.search_series(STORE, in_study)[0].series_instance_uid
    inside = Query(Level.INSTANCE, ResourcePath(some.study_instance_uid, series))
    yield "instances of a series", lambda: search.search_instances(STORE, inside)


def _family(study: int) -> str:
    return make_name(study).partition("^")[0].lower()


def _timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def _tell(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    print(f"  {name:32}p50 {median(ordered):8.2f}  p95 {ordered[len(ordered) * 95 // 100]:8.2f}", flush=True)


def _tell_sizes(index: SqlIndex, rows: int) -> None:
    """Bytes of each table with its indexes, for each instance."""
    with index.database.read() as connection:
        if is_sqlite(connection):
            query = (
                "SELECT m.tbl_name, m.type, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name "
                "GROUP BY 1, 2 ORDER BY 3 DESC"
            )
            try:
                found = [tuple(row) for row in connection.execute(text(query))]
            except Exception as error:  # not every SQLite has the module
                print(f"  no sizes of tables: {type(error).__name__}")
                found = [("index.sqlite", "file", os.path.getsize(str(index.database.engine.url.database)))]
        else:
            query = (
                "SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class "
                "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC"
            )
            rows_of = connection.execute(text(query)).all()
            found = [
                (name, kind, size)
                for name, *sizes in rows_of
                for kind, size in zip(("table", "index"), sizes, strict=True)
            ]
    print(f"  {sum(each[2] for each in found) / 1e6:,.0f} MB, {sum(each[2] for each in found) / rows:,.0f} an instance")
    for name, kind, size in found:
        if size / rows >= 1:
            print(f"    {name:20}{kind:8}{size / rows:8.1f}")


def _select_and_finish(index: SqlIndex, count: int) -> None:
    """An operation with a filter of so many instances ends: its rows go."""
    operation = index.operations.create_operation(STORE.parent, "v1", Method.EXPORT_DICOM_DATA, {}, str(STORE))
    claimed = index.operations.claim_operation(_RUNNER)
    assert claimed is not None and claimed.name == operation.name
    number = operation.name.id
    with index.database.write() as connection:
        for start in range(0, count, 50_000):
            end = min(start + 50_000, count)
            keys = ("operation_id", "series_id", "sop_instance_uid")
            rows = [dict(zip(keys, (number, i // 100, f"2.25.{i}"), strict=True)) for i in range(start, end)]
            connection.execute(insert(selection), rows)
    begun = time.monotonic()
    try:
        index.operations.finish_operation(claimed, _RUNNER, None)
    except Interrupted as error:
        print(f"  {error.message}")
    print(f"  an operation ends with {count:,} selected: {time.monotonic() - begun:.1f} s", flush=True)
