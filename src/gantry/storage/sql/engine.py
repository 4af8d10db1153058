"""Queries in processes of their own: started here, and killed where they take too long."""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from gantry.errors import DeadlineExceeded, Internal, ResourceExhausted, StatusError, Unavailable
from gantry.query_seams import Answer, Batch, Field, Query, TableInfo
from gantry.storage.sql.catalogue import Catalogue, without
from gantry.storage.sql.environment import make_environment
from gantry.storage.sql.limits import QueryLimits
from gantry.storage.sql.parquet_file import write_parquet
from gantry.system_errors import describe_os_error
from gantry.table_address import TableAddress
from gantry.worker_calls import GRACE_SECONDS, LISTEN_SECONDS, Check

logger = logging.getLogger(__name__)

_MAIN = (sys.executable, "-m", "gantry.storage.sql.process")
_PIECE = 1 << 20  # bytes that are read at once
_ERRORS = {error.code.name: error for error in StatusError.__subclasses__()}


@dataclass
class LocalQueries:
    """``roots`` as in ``Catalogue``; ``directory`` is where a query spills what does not fit into memory. See
    ``query_seams.QueryEngine``."""

    roots: Mapping[str, str]
    directory: Path
    limits: QueryLimits = field(default_factory=QueryLimits)

    def __post_init__(self) -> None:
        self._catalogue = Catalogue(self.roots)
        self._lock = threading.Lock()
        self._spare: _Process | None = None
        self._is_closed = False

    @property
    def scratch(self) -> str:
        """In the first of all directories: it is the same one on all servers that have the same settings."""
        return os.path.join(self.roots[min(self.roots)], ".gantry-queries")

    @contextmanager
    def run(self, query: Query, check: Check | None = None) -> Iterator[Answer]:
        denied = [project for project in self._catalogue.list_projects() if not query.may_read(project)]
        process = self._take()
        spills = self._make_spills()
        watch = _Watch(process, self.limits.seconds, check)
        try:
            process.send(self._make_request(query, denied, spills))
            head = process.read(watch)
            yield Answer(
                _load(head["fields"]),
                tuple(TableAddress(*each) for each in head["tables"]),
                head["bytes"],
                process.list_batches(watch),
            )
        finally:
            watch.end()
            process.kill()
            shutil.rmtree(spills, ignore_errors=True)

    def _make_request(self, query: Query, denied: Sequence[str], spills: str) -> dict[str, Any]:
        return {
            "text": query.text,
            "legacy": query.is_legacy,
            "project": query.project,
            "dataset": query.dataset,
            "parameters": query.parameters,
            "roots": without(self.roots, denied),
            "denied": denied,
            "dry": query.is_dry,
            "version": query.version,
            "limits": asdict(self.limits),
            "spills": spills,
        }

    def _make_spills(self) -> str:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            return tempfile.mkdtemp(dir=self.directory)
        except OSError as error:
            raise Unavailable(
                f"no query can run now: its directory cannot be made: {describe_os_error(error)}"
            ) from None

    def _take(self) -> _Process:
        """One that has loaded its libraries, if there is one; the next one loads them meanwhile."""
        with self._lock:
            found, self._spare = self._spare, None
        if found is None or not found.is_alive():
            found = _Process()
        with self._lock:
            if self._spare is None and not self._is_closed:
                with suppress(Unavailable):  # a query that needs one says so
                    self._spare = _Process()
        return found

    def write_parquet(self, fields: Sequence[Field], batches: Iterable[Batch]) -> Iterator[bytes]:
        return write_parquet(fields, batches, self.directory, self.limits.seconds)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._spare is not None:
                self._spare.kill()
                self._spare = None

    def list_projects(self) -> Sequence[str]:
        return self._catalogue.list_projects()

    def list_datasets(self, project: str) -> Sequence[str]:
        return self._catalogue.list_datasets(project)

    def list_tables(self, project: str, dataset: str) -> Sequence[str]:
        return self._catalogue.list_tables(project, dataset)

    def look(self, address: TableAddress, version: str = "") -> TableInfo:
        return self._catalogue.look(address, version)


def _load(fields: Sequence[Any]) -> tuple[Field, ...]:
    return tuple(Field(name, kind, mode, _load(below)) for name, kind, mode, below in fields)


class _Process:
    """A process that waits for one query."""

    def __init__(self) -> None:
        """Raises Unavailable."""
        try:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives
            self._process = subprocess.Popen(
                _MAIN,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                stderr=self._errors,
                env=make_environment(),
                cwd="/",
            )
            self._input, self._output = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
            self._read, self._poll = bytearray(), select.poll()
            self._poll.register(self._output, select.POLLIN)
        except OSError as error:
            raise Unavailable(f"no query can be started now: {describe_os_error(error)}") from None

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, request: Mapping[str, Any]) -> None:
        with suppress(OSError):  # it has ended: so will the reading
            self._input.write(json.dumps(request).encode() + b"\n")
            self._input.flush()

    def read(self, watch: _Watch) -> dict[str, Any]:
        """The next line, which has no rows. Raises what the query has met."""
        return self._parse(self._read_line(watch), watch)

    def list_batches(self, watch: _Watch) -> Iterator[Batch]:
        """Raises what the query has met, when all that came before it was read."""
        while not (line := self._read_line(watch)).startswith(b"{"):
            count, _, text = line.partition(b" ")
            yield Batch(int(count), text)
        self._parse(line, watch)

    def _read_line(self, watch: _Watch) -> bytes:
        at, seen = -1, 0
        while (at := self._read.find(b"\n", seen)) < 0:
            seen = len(self._read)
            if not self._read_more(watch):
                raise self._find_reason(watch)
        line = bytes(self._read[:at])
        del self._read[: at + 1]
        return line

    def _read_more(self, watch: _Watch) -> bool:
        """Append what comes next. False at the end: its own, or once it has been told to end and does not, as where it
        hangs in a system call."""
        while not self._poll.poll(LISTEN_SECONDS * 1000):
            if watch.has_waited(GRACE_SECONDS):
                return False
        data = os.read(self._output.fileno(), _PIECE)
        self._read += data
        return bool(data)

    def _parse(self, line: bytes, watch: _Watch) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(line)
        if (error := found.get("error")) is None:
            return found
        self._log_errors()
        raise _ERRORS.get(error["code"], Internal)(error["what"], advice=error["advice"])

    def _find_reason(self, watch: _Watch) -> Exception:
        """Why it has ended before its answer did."""
        if watch.reason is not None:
            return watch.reason
        self._log_errors()
        return ResourceExhausted(
            "Resources exceeded during query execution: its process has ended, as it needs more memory or time than "
            "it may"
        )

    def _log_errors(self) -> None:
        self._errors.seek(0)
        if said := self._errors.read(20_000).decode("utf-8", "replace").strip():
            logger.warning("a query: %s", said)

    def kill(self) -> None:
        """One that hangs in a system call is left behind."""
        self._process.kill()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("process %d of a query does not end; it is left behind", self._process.pid)
        for each in (self._input, self._output):
            with suppress(OSError):
                each.close()
        self._errors.close()

    def end(self) -> None:
        """Let it end, whoever reads from it."""
        self._process.kill()


class _Watch:
    """Ends a process at its deadline, and where ``check`` raises an exception. ``reason`` is why it was ended."""

    def __init__(self, process: _Process, seconds: float, check: Check | None) -> None:
        self.reason: Exception | None = None
        self._told: float | None = None
        self._process, self._check = process, check
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="query-watch", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._is_over.wait(LISTEN_SECONDS):
            try:
                if self._check is not None:
                    self._check()
                if time.monotonic() < self._deadline:
                    continue
                self.reason = DeadlineExceeded(
                    f"the query was stopped: it has taken {self._seconds:g} s, and more it may not take here",
                    advice="ask for less, or raise the setting query_seconds",
                )
            except Exception as error:  # whoever reads raises it
                self.reason = error
            self._told = time.monotonic()
            self._process.end()
            return

    def has_waited(self, seconds: float) -> bool:
        """Whether the process was told to end so long ago."""
        return self._told is not None and time.monotonic() - self._told > seconds

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()
