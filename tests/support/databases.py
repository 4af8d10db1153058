"""Which database has the index of a data directory while tests run: a file of SQLite, or with
GANTRY_TEST_DATABASE=postgresql a database of its own in the PostgreSQL of this process (`tests.support.postgresql`).

Whatever begins a server, a command or an index on a directory asks here, so that every suite runs with both. What is
about SQLite alone is marked ``@pytest.mark.sqlite(REASON)``, and left out with PostgreSQL.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, text

from gantry.index.server_address import parse_server
from gantry.index.sql import SqlIndex
from gantry.index_wiring import ELSEWHERE, INDEX
from gantry.settings.groups import SQLITE
from gantry.settings.loading import Settings
from tests.support import postgresql

VARIABLE, SETTING = "GANTRY_TEST_DATABASE", "GANTRY_DATABASE"
POSTGRESQL = "postgresql"
_lock = threading.Lock()
_made: dict[Path, URL] = {}
_templates: list[URL] = []


def is_server() -> bool:
    """Whether this run is one with PostgreSQL."""
    found = os.environ.get(VARIABLE) or SQLITE
    assert found in (SQLITE, POSTGRESQL), f"{VARIABLE} is {SQLITE} or {POSTGRESQL}"
    return found == POSTGRESQL


def environ_of(data: Path | str) -> dict[str, str]:
    """What a server or a command on this data directory finds in its environment."""
    return {SETTING: _find_address(Path(data))} if is_server() else {}


def make_settings(data: Path | str, **more: Any) -> Settings:
    """The settings of a server in this process."""
    return Settings(data=str(data), database=_find_address(Path(data)) if is_server() else SQLITE, **more)


def index_url(data: Path) -> str:
    """The address of an index without a server; the directory is made."""
    data.mkdir(parents=True, exist_ok=True)
    return _find_address(data) if is_server() else f"sqlite:///{data / INDEX}"


def query(data: Path, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement in the index of a data directory, beside a server or without one; a change is
    committed."""
    url = index_url(data)
    engine = create_engine(parse_server(url) if is_server() else url, poolclass=NullPool)
    with engine.begin() as connection:
        found = connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []


def lose(data: Path) -> None:
    """The database of a directory is gone, and an empty one is in its place."""
    if is_server():
        _find_address(data)
        postgresql.share().renew(_made[data.absolute()])


def copy(data: Path, target: Path) -> None:
    """A copy of a data directory that nobody uses, with its index."""
    shutil.copytree(data, target)
    if is_server():
        _find_address(data)
        _made[target.absolute()] = postgresql.share().make(_made[data.absolute()])


def has_index(data: Path) -> bool:
    """Whether the directory has had an index, of any kind."""
    return any((data / name).exists() for name in (INDEX, ELSEWHERE))


def begin() -> None:
    """Start PostgreSQL for a run that needs it: here, because it ends with the thread that starts it."""
    if is_server():
        _find_template()


def end() -> None:
    """Nothing of this process is left in PostgreSQL."""
    for url in (*_made.values(), *_templates):
        postgresql.share().drop(url)
    _made.clear()
    _templates.clear()
    postgresql.close_shared()


def _find_address(data: Path) -> str:
    """Of the database of a directory, which is empty at first, and stays for as long as the directory above it."""
    with _lock:
        key = data.absolute()
        if key not in _made:
            _drop_left()
            _made[key] = postgresql.share().make(_find_template())
        return postgresql.to_text(_made[key].set(drivername="postgresql"))


def _find_template() -> URL:
    """A database with the schema in it: migrating costs more than most tests."""
    if not _templates:
        url = postgresql.share().make()
        _templates.append(url)
        with closing(SqlIndex(postgresql.to_text(url))):
            pass
    return _templates[0]


def _drop_left() -> None:
    """The databases of tests that have ended."""
    for key in [key for key in _made if not key.parent.exists()]:
        postgresql.share().drop(_made.pop(key))
