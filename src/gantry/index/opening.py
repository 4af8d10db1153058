"""Which database an address means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from gantry.errors import FailedPrecondition
from gantry.index.database import Database, open_file_alone
from gantry.index.generations import Generation
from gantry.index.read_only import ReadOnlyDatabase, read_file_schema
from gantry.index.server_address import is_server

NO_DRIVER = "an index in PostgreSQL needs a driver that is not installed: `pip install 'gantry-dicom[postgresql]'`"


def open_database(url: str | Path, now: Callable[[], int], shares: bool = False) -> Database:
    """The path of a file, or an address: ``sqlite:///FILE``, ``postgresql://USER@HOST/DATABASE``. ``shares``: beside
    other servers, in PostgreSQL. Raises FailedPrecondition."""
    return _open_server(str(url), now, shares) if is_server(url) else Database(url, now)


def read_server_generation(url: str, shares: bool = False) -> Generation | None:
    """That of an index in PostgreSQL which is not open, or which other servers use; None in a database without one.
    Raises FailedPrecondition."""
    try:
        from gantry.index.postgresql import read_generation
    except ImportError:
        raise FailedPrecondition(NO_DRIVER) from None
    return read_generation(url, shares)


def read_schema(url: str | Path) -> str:
    """The version of the schema of an index, which a server may use meanwhile; empty where there is none. Changes
    nothing. Raises FailedPrecondition."""
    if not is_server(url):
        return read_file_schema(Path(url))
    try:
        from gantry.index import postgresql
    except ImportError:
        raise FailedPrecondition(NO_DRIVER) from None
    return postgresql.read_schema(str(url))


def open_read_only(url: str | Path, is_used: bool) -> ReadOnlyDatabase:
    """For checks; ``is_used``: a server may write to it meanwhile. Raises FailedPrecondition."""
    if not is_server(url):
        return ReadOnlyDatabase(Path(url), is_used)
    try:
        from gantry.index.postgresql_reading import ReadOnlyPostgres
    except ImportError:
        raise FailedPrecondition(NO_DRIVER) from None
    return ReadOnlyPostgres(str(url))


def open_beside_servers(url: str) -> Database:
    """An index in PostgreSQL, to change keys of service accounts in it. Raises FailedPrecondition."""
    try:
        from gantry.index.postgresql_reading import PostgresBeside
    except ImportError:
        raise FailedPrecondition(NO_DRIVER) from None
    return PostgresBeside(url)


def open_alone(url: str | Path) -> Engine:
    """For one connection, which nobody has beside it: as it is, whatever its schema. Raises FailedPrecondition."""
    if not is_server(url):
        return open_file_alone(Path(url))
    try:
        from gantry.index.postgresql import open_server_alone
    except ImportError:
        raise FailedPrecondition(NO_DRIVER) from None
    return open_server_alone(str(url))


def _open_server(url: str, now: Callable[[], int], shares: bool) -> Database:
    try:
        from gantry.index.postgresql import PostgresDatabase
    except ImportError:
        raise FailedPrecondition(NO_DRIVER) from None
    return PostgresDatabase(url, now, shares)
