"""Runs jobs, some at a time, and knows those of other servers by what they have written."""

from __future__ import annotations

import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gantry.asked_aside import AskedAside
from gantry.containment import contain
from gantry.errors import (
    Aborted,
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gantry.query_seams import Query
from gantry.querying.extracting import Extract, write_extract
from gantry.querying.filter_lines import FilterFile, Lines, write_filter
from gantry.querying.job_files import JobFiles, key_of
from gantry.querying.jobs import EXTRACT, QUERY, Job, tell
from gantry.seams import Seams

logger = logging.getLogger(__name__)

MAX_WAITING = 100
"""Jobs of one server that have not ended."""

MAX_CONFIG = 2_000_000
"""Characters of all that is asked for: a query has at most a million (``storage.sql.parsing``)."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_SIGN_SECONDS, _SWEEP_SECONDS = 5.0, 60.0
_STOPPED = Unavailable("the server was stopped while it ran this job", advice="run it again")
_LOST = Unavailable("the server that ran this job has ended", advice="run it again")
_CANCELLED = Cancelled("Job execution was cancelled: User requested cancellation")
Work = Callable[[Job, Callable[[], None]], Job]


class _Running(NamedTuple):
    """A job that has not ended."""

    is_over: threading.Event
    work: Future[None]


class QueryJobs:
    """``slots`` run at a time; results have ``kept_megabytes`` together. Safe to use from many threads."""

    def __init__(self, seams: Seams, slots: int = 2, kept_megabytes: int = 4096) -> None:
        self._seams = seams
        self.files = JobFiles(Path(seams.queries.scratch or "/nonexistent"), kept_megabytes << 20)
        self._server = secrets.token_hex(8)
        self._pool = ThreadPoolExecutor(slots, "query")
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._is_closing = threading.Event()
        self._signs: threading.Thread | None = None
        self._swept = 0.0
        self._begun = 0  # jobs that are being written down

    def begin_query(self, job: Job, query: Query) -> Job:
        """Raises InvalidArgument, AlreadyExists, ResourceExhausted, FailedPrecondition where there are no tables."""
        return self._begin(replace(job, kind=QUERY), lambda job, check: self._run_query(job, query, check))

    def begin_extract(self, job: Job, extract: Extract, query: Query | None, source: Job | None) -> Job:
        """Write the rows of a query, or of a job that is done, to a bucket. Raises as ``begin_query``."""

        def run(job: Job, check: Callable[[], None]) -> Job:
            if source is not None:
                batches = self.files.list_batches(source)
                return replace(job, rows=write_extract(self._seams, extract, source.fields, batches, check))
            if query is None:
                raise InvalidArgument("there is nothing to extract")
            with self._seams.queries.run(query, check) as answer:
                rows = write_extract(self._seams, extract, answer.fields, answer.batches, check)
            return replace(job, rows=rows, read=answer.read_bytes)

        return self._begin(replace(job, kind=EXTRACT), run)

    def begin_filter(self, job: Job, file: FilterFile, lines: Lines, source: Job) -> Job:
        """Write the rows of a job that is done as a filter file. Raises as ``begin_query``."""

        def run(job: Job, check: Callable[[], None]) -> Job:
            return replace(job, rows=write_filter(self._seams, file, lines, self.files.list_batches(source), check))

        return self._begin(replace(job, kind=EXTRACT), run)

    def find(self, caller: str, project: str, id: str) -> Job:
        """As it is now. Raises NotFound, also for a job of somebody else."""
        return self._show(caller, self.files.read(project, id))

    def find_result(self, caller: str, project: str, key: str) -> Job:
        """The job whose result is shown as the table of this name. Raises NotFound."""
        message = f"Not found: Table {project}:{key[:200]}"
        job = self._show(caller, self.files.read_key(key if re.fullmatch("[0-9a-f]{40}", key) else "-", message))
        if job.project != project or job.kind != QUERY or not job.ended or job.error:
            raise NotFound(message)
        return job

    def list_jobs(self, caller: str, project: str) -> list[Job]:
        """Those of a caller, the newest first."""
        mine = self.files.list_newest(lambda job: job.project == project and job.caller == caller)
        return [self._show(caller, job) for job in mine]

    def _show(self, caller: str, job: Job) -> Job:
        if job.caller != caller:
            raise NotFound(f"Not found: Job {job.project}:{job.id[:200]}")
        is_mine = job.server == self._server
        if not job.ended and not is_mine and self.files.is_silent(job.server):
            job = replace(job, ended=time.time(), error=tell(_LOST))
            with suppress(StatusError, OSError):
                self.files.save(job)
        return job

    def is_over(self, job: Job) -> bool:
        with self._lock:
            running = self._running.get(key_of(job.project, job.id))
        if running is not None:
            return running.is_over.is_set()
        with suppress(StatusError):
            return bool(self.find(job.caller, job.project, job.id).ended)
        return True

    def cancel(self, job: Job) -> None:
        """It ends soon, wherever it runs; at once where it waits for its turn here."""
        self.files.request_cancel(job)
        key = key_of(job.project, job.id)
        with self._lock:
            running = self._running.get(key)
            is_mine = running is not None and not running.work.cancelled() and running.work.cancel()
        if running is not None and is_mine:
            self._keep_end(replace(job, error=tell(_CANCELLED)))
            self._forget(key, running.is_over)

    def close(self) -> None:
        """End what runs."""
        with self._lock:
            self._is_closing.set()
        self._pool.shutdown(cancel_futures=True)
        self.files.forget_server(self._server)
        self._seams.queries.close()

    def _begin(self, job: Job, work: Work) -> Job:
        if not self._seams.queries.scratch:
            raise FailedPrecondition(
                "this server has no tables to query", advice="its setting bigquery can name directories for them"
            )
        if not _ID.fullmatch(job.id):
            raise InvalidArgument("the id of a job has letters, digits, _ and -, at most 1,024 of them")
        if len(json.dumps(job.config, ensure_ascii=False)) > MAX_CONFIG:
            raise InvalidArgument(f"a job has at most {MAX_CONFIG:,} characters, its parameters and labels included")
        self._sweep()
        job = replace(job, created=time.time(), server=self._server)
        event = threading.Event()
        key = key_of(job.project, job.id)
        with self._beginning(job):
            with self._lock:
                self._require_open()
                self._running[key] = _Running(event, self._pool.submit(self._run, job, work, key, event))
            self._give_signs()
        return job

    @contextmanager
    def _beginning(self, job: Job) -> Iterator[None]:
        """While a job is written down: without the lock, as its disk may give no answer."""
        with self._lock:
            self._require_open()
            if len(self._running) + self._begun >= MAX_WAITING:
                raise ResourceExhausted("too many jobs wait on this server", advice="try again later")
            self._begun += 1
        try:
            self.files.create(job)
            try:
                yield
            except Unavailable:
                self.files.remove(job)
                raise
        finally:
            with self._lock:
                self._begun -= 1

    def _require_open(self) -> None:
        if self._is_closing.is_set():
            raise Unavailable("the server is being stopped", advice=_STOPPED.advice)

    def _run(self, job: Job, work: Work, key: str, event: threading.Event) -> None:
        try:
            self._run_told(job, work)
        finally:
            self._forget(key, event)

    def _forget(self, key: str, event: threading.Event) -> None:
        event.set()
        with self._lock:
            del self._running[key]

    def _run_told(self, job: Job, work: Work) -> None:
        cancelled = AskedAside(partial(self.files.is_cancelled, job))

        def check() -> None:
            if self._is_closing.is_set():
                raise Unavailable(_STOPPED.what, advice=_STOPPED.advice)
            if cancelled.get(False):
                raise Cancelled(_CANCELLED.what)

        job = replace(job, started=time.time())
        try:
            self.files.save(job)
            with contain(f"job {job.id}", "while a job ran"):
                check()
                job = work(job, check)
        except StatusError as error:
            job = replace(job, error=tell(error))
            self.files.drop_rows(job)
        self._keep_end(job)

    def _keep_end(self, job: Job) -> None:
        try:
            self.files.save(replace(job, ended=time.time()))
        except (StatusError, OSError):
            logger.exception("the end of job %s cannot be kept; it is given up", job.id)
            self.files.remove(job)

    def _run_query(self, job: Job, query: Query, check: Callable[[], None]) -> Job:
        with self._seams.queries.run(query, check) as answer, self.files.write_rows(job) as rows:
            for batch in answer.batches:
                rows.write(batch)
        return replace(
            job,
            fields=answer.fields,
            rows=rows.count,
            size=rows.size,
            read=answer.read_bytes,
            tables=tuple((each.project, each.dataset, each.table) for each in answer.tables),
        )

    def _give_signs(self) -> None:
        self.files.touch_server(self._server)
        if self._signs is None or not self._signs.is_alive():
            self._signs = threading.Thread(target=self._sign, name="query-signs", daemon=True)
            self._signs.start()

    def _sign(self) -> None:
        """While jobs run here, other servers see that."""
        while not self._is_closing.wait(_SIGN_SECONDS):
            self.files.touch_server(self._server)

    def _sweep(self) -> None:
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = time.monotonic()
            self.files.sweep()


def require_done(job: Job) -> None:
    """Raises Aborted for a job that still runs, and the error of one that failed."""
    if not job.ended:
        raise Aborted(f"job {job.id[:200]} still runs", advice="wait for its end")
    if (error := job.find_error()) is not None:
        raise error
