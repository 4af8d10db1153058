"""Jobs and results in a directory that all servers share which have the same tables.

    JOB/about     the job, as JSON
    JOB/rows      batches of the result, one on each line
    JOB/index     for each batch: its first row, and where it begins in ``rows``
    JOB/cancel    whether somebody wants it to end
    .server-ID    a server that runs jobs: touched while it does

``JOB`` is made of project and id. Nothing here needs to outlive a crash of the machine, so nothing is synced: of what a
power cut has left, rows that are not all that there were are none.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import struct
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from gantry.errors import AlreadyExists, DiskAway, NotFound, ResourceExhausted, StatusError
from gantry.query_seams import Batch
from gantry.querying.jobs import Job, dump, load
from gantry.system_errors import describe_os_error

KEPT_SECONDS, MAX_KEPT = 86_400, 1000
"""Of results: a day, as those without a table of their own have in BigQuery; and how many."""

SILENT_SECONDS = 60.0
"""After the last sign of a server until what it ran is taken for lost."""

MAX_ABOUTS = 64 << 20
"""Bytes of all that was asked for: a query may have a million characters."""

SURE_SECONDS = 15.0
"""For as long a sign must stay the same as well: clocks jump, and that of a shared disk may be another one."""

_ENTRY = struct.Struct("<QQ")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def key_of(project: str, id: str) -> str:
    """The name of a job's directory, and of the table that its result is shown as."""
    return hashlib.sha256(f"{project}\0{id}".encode()).hexdigest()[:40]


@dataclass(frozen=True)
class JobFiles:
    """``most_bytes`` of all results together. Raises ResourceExhausted where the disk is full, DiskAway."""

    root: Path
    most_bytes: int
    _suspected: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False, compare=False)
    """Servers whose last sign seems old: its time, and since when it is known."""

    def create(self, job: Job) -> None:
        """Raises AlreadyExists."""
        try:
            with _told():
                self.root.mkdir(mode=0o700, exist_ok=True)
                self._directory(job).mkdir(mode=0o700)
        except FileExistsError:
            raise AlreadyExists(f"Already Exists: Job {job.project}:{job.location}.{job.id[:200]}") from None
        except FileNotFoundError:
            raise DiskAway("the directory of tables, where results of queries are kept, is not there") from None
        try:
            self.save(job)
        except (StatusError, OSError):
            self.remove(job)  # its id is free
            raise

    def save(self, job: Job) -> None:
        directory = self._directory(job)
        with _told():
            (directory / "about.new").write_bytes(dump(job))
            os.replace(directory / "about.new", directory / "about")

    def read(self, project: str, id: str) -> Job:
        """Raises NotFound."""
        return self.read_key(key_of(project, id), f"Not found: Job {project}:{id[:200]}")

    def read_key(self, key: str, otherwise: str) -> Job:
        """By the name of its directory. Raises NotFound that says ``otherwise``."""
        try:
            with _told():
                return load((self.root / key / "about").read_bytes())
        except (FileNotFoundError, ValueError):
            raise NotFound(otherwise) from None

    def request_cancel(self, job: Job) -> None:
        with _told(), suppress(FileNotFoundError):
            (self._directory(job) / "cancel").touch()

    def is_cancelled(self, job: Job) -> bool:
        """False where the disk cannot say so now."""
        with suppress(OSError):
            return (self._directory(job) / "cancel").exists()
        return False

    @contextmanager
    def write_rows(self, job: Job) -> Iterator[RowsWriter]:
        directory = self._directory(job)
        with _told(), (directory / "rows").open("wb") as rows, (directory / "index").open("wb") as index:
            yield RowsWriter(rows, index)

    def list_batches(self, job: Job) -> Iterator[Batch]:
        """All rows. Raises NotFound where they are not kept any more."""
        for count, text in self._read_lines(job, 0):
            yield Batch(count, text)

    def read_rows(self, job: Job, first: int, most: int, most_bytes: int) -> list[list[Any]]:
        """Rows from ``first`` on, at most so many, and those of about so many bytes: at least one, if there is one.
        Raises NotFound where they are not kept any more."""
        found: list[list[Any]] = []
        size, skipped = 0, first - self._find_start(job, first)[0]
        for _, text in self._read_lines(job, first) if most and first < job.rows else ():
            rows: list[list[Any]] = json.loads(text)
            for row in rows[skipped:]:
                found.append(row)
                size += len(text) // len(rows)
                if len(found) == most or size >= most_bytes:
                    return found
            skipped = max(0, skipped - len(rows))
        return found

    def _read_lines(self, job: Job, first: int) -> Iterator[tuple[int, bytes]]:
        """The batches from that of a row on: how many rows each has, and their text."""
        offset = self._find_start(job, first)[1]
        try:
            with _told(), (self._directory(job) / "rows").open("rb") as file:
                if os.fstat(file.fileno()).st_size != job.size:
                    raise _not_kept(job)
                file.seek(offset)
                while head := file.peek(1):
                    if not head[:1].isdigit():  # zeros have no end of a line, either
                        raise _not_kept(job)
                    count, _, text = file.readline().partition(b" ")
                    yield int(count), text
        except FileNotFoundError:
            raise _not_kept(job) from None

    def _find_start(self, job: Job, first: int) -> tuple[int, int]:
        """The first row of a batch, and where it begins: of the one with this row, or of an earlier one where the index
        is not whole."""
        try:
            with _told():
                data = (self._directory(job) / "index").read_bytes()
        except FileNotFoundError:
            raise _not_kept(job) from None
        entries = list(_ENTRY.iter_unpack(data[: len(data) // _ENTRY.size * _ENTRY.size]))
        at = bisect_right(entries, first, key=lambda entry: entry[0]) - 1
        return entries[at] if at >= 0 else (0, 0)

    def touch_server(self, server: str) -> None:
        with suppress(OSError):
            (self.root / f".server-{server}").touch()

    def forget_server(self, server: str) -> None:
        with suppress(OSError):
            (self.root / f".server-{server}").unlink()

    def is_silent(self, server: str) -> bool:
        """Whether a server has given no sign for a while."""
        try:
            sign = (self.root / f".server-{server}").stat().st_mtime
        except FileNotFoundError:
            self._suspected.pop(server, None)
            return True
        except OSError:
            return False  # nobody knows: what a server runs is not taken from it for that
        if abs(time.time() - sign) <= SILENT_SECONDS:
            self._suspected.pop(server, None)
            return False
        known, since = self._suspected.get(server, (-math.inf, 0.0))
        if known != sign:
            known, since = self._suspected[server] = sign, time.monotonic()
        return time.monotonic() - since >= SURE_SECONDS

    def list_kept(self) -> list[Job]:
        """All that are kept, the oldest first, without what was asked for and the columns."""
        return [job for job, _ in self._survey()]

    def _survey(self) -> list[tuple[Job, int]]:
        """The same with the bytes of each."""
        found = []
        with suppress(OSError):
            for name in os.listdir(self.root):
                if not name.startswith("."):
                    with suppress(NotFound, DiskAway, OSError):
                        job = replace(self.read_key(name, name), config={}, fields=())
                        found.append((job, (self.root / name / "about").stat().st_size))
        return sorted(found, key=lambda pair: pair[0].created)

    def list_newest(self, wanted: Callable[[Job], bool]) -> Iterator[Job]:
        """Those that are wanted, the newest first, as many as have ``MAX_ABOUTS`` bytes: older ones are not kept."""
        size = 0
        for job, about in reversed(self._survey()):
            if wanted(job):
                size += about
                if size > MAX_ABOUTS:
                    return
                with suppress(NotFound, DiskAway):
                    yield self.read(job.project, job.id)

    def sweep(self) -> None:
        """Remove results that are old, and the oldest where there are too many, or too large ones; also what is left of
        servers that were killed."""
        now = time.time()
        jobs = [pair for pair in self._survey() if pair[0].ended or self.is_silent(pair[0].server)]
        size, count, abouts = sum(job.size for job, _ in jobs), len(jobs), sum(about for _, about in jobs)
        for job, about in jobs:
            is_room = size <= self.most_bytes and count <= MAX_KEPT and abouts <= MAX_ABOUTS
            if is_room and now - job.created < KEPT_SECONDS:
                break
            size, count, abouts = size - job.size, count - 1, abouts - about
            self.remove(job)
        for path in self._list_left(now):
            with suppress(OSError):  # it is tried again
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _list_left(self, now: float) -> list[Path]:
        """What has no job that can be read, and signs of servers, after a day."""
        kept = {key_of(job.project, job.id) for job in self.list_kept()}
        with suppress(OSError):  # another server removes it, too
            return [
                path
                for path in self.root.iterdir()
                if path.name not in kept and now - path.lstat().st_mtime > KEPT_SECONDS
            ]
        return []

    def drop_rows(self, job: Job) -> None:
        """Of a job that has failed."""
        for name in ("rows", "index"):
            with suppress(OSError):
                (self._directory(job) / name).unlink()

    def remove(self, job: Job) -> None:
        shutil.rmtree(self._directory(job), ignore_errors=True)

    def _directory(self, job: Job) -> Path:
        return self.root / key_of(job.project, job.id)


class RowsWriter:
    def __init__(self, rows: BinaryIO, index: BinaryIO) -> None:
        self.count = self.size = 0
        self._rows, self._index = rows, index

    def write(self, batch: Batch) -> None:
        self._index.write(_ENTRY.pack(self.count, self.size))
        self.size += self._rows.write(b"%d " % batch.count + batch.text + b"\n")
        self.count += batch.count


def _not_kept(job: Job) -> NotFound:
    return NotFound(f"the result of job {job.id[:200]} is not kept any more", advice="run it again")


@contextmanager
def _told() -> Iterator[None]:
    """FileNotFoundError and FileExistsError stay as they are."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceExhausted("the disk has no room for results of queries", advice="try again later") from None
        reason = describe_os_error(error)
        raise DiskAway(f"results of queries cannot be kept or read now: {reason}") from None
