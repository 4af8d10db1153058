"""The generation of an index: what must agree with the blobs beside it. ``gantry.generations`` compares them."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from gantry.errors import FailedPrecondition
from gantry.index.copy_marks import NAME as COPY
from gantry.index.copy_marks import refusal
from gantry.index.database import Part
from gantry.index.dialect import raise_numbers, upsert
from gantry.index.refusals import RESTORE, describe_sqlite_error, is_damage
from gantry.index.reserve import Reserve
from gantry.index.tables import dicom_store, generation, generation_place, operation, upload
from gantry.system_errors import describe_os_error

JUMP_BITS = 40
"""Numbers that an index gives out go on behind a random one of so many bits where it may have given out others that it
does not know: two such jumps meet with a chance of one in 10^12, and 2^63 has room for millions of them."""

ATTEMPTS = 1_000_000_000
"""More than an operation has in an index that has never followed: one begins every five seconds at most."""

PrefixOf = Callable[[int, int, int], str]
"""Store, operation, attempt → what the keys of its blobs begin with."""


class Generation(NamedTuple):
    """``mark`` is empty in the index of an older version. ``has_stores``: there is a DICOM store in it."""

    mark: str
    commits: int = 0
    rebuilding: bool = False
    places: frozenset[str] = frozenset()
    has_stores: bool = True


def read_generation(path: Path) -> Generation | None:
    """That of an index which is not open; None where there is no index: no file, or one without tables. Changes
    nothing in it. Raises FailedPrecondition where the file cannot be read."""
    try:
        if not path.exists():
            return None
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be read: {describe_os_error(error)}") from None
    Reserve(path).make_room()  # SQLite needs some even to read
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as connection:
            return _read(connection, str(path))
    except sqlite3.Error as error:
        raise FailedPrecondition(
            f"{path} cannot be used as an index: {describe_sqlite_error(error)}",
            advice=RESTORE if is_damage(error) else "",
        ) from None


def _read(connection: sqlite3.Connection, name: str) -> Generation | None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if COPY in tables and (copy := connection.execute("SELECT state, place FROM index_copy").fetchone()):
        raise refusal(name, *copy)
    if "alembic_version" not in tables:
        return None
    if "generation" not in tables:
        return Generation("")
    row = connection.execute("SELECT mark, commits, rebuilding FROM generation").fetchone()
    places = frozenset(place for (place,) in connection.execute("SELECT place FROM generation_place"))
    stores = connection.execute("SELECT count(*) FROM (SELECT 1 FROM dicom_store LIMIT 1)").fetchone()[0]
    return Generation(row[0], row[1], bool(row[2]), places, bool(stores))


class Generations(Part):
    """What the start of a server reads and writes."""

    def get(self) -> Generation:
        with self.database.read() as connection:
            row = connection.execute(select(generation)).one()
            places = connection.execute(select(generation_place.c.place)).scalars()
            return Generation(row.mark, row.commits, row.rebuilding, frozenset(places))

    def add_places(self, places: Collection[str]) -> None:
        """The places have the mark, durably."""
        if not places:
            return
        with self.database.write() as connection:
            rows = [{"place": place} for place in sorted(places)]
            connection.execute(upsert(generation_place).on_conflict_do_nothing(), rows)

    def remove_place(self, place: str) -> None:
        """The settings name it no more, and it holds no blobs: it may come back as another directory."""
        with self.database.write() as connection:
            connection.execute(delete(generation_place).where(generation_place.c.place == place))

    def begin_rebuilding(self, mark: str, stores: int = 0, uploads: int = 0) -> None:
        """Rows are made for blobs that have none. ``mark`` is that of the blobs, empty to keep the present one.

        An index that has no store is not complete before the end, so that no server starts with it.
        ``stores`` and ``uploads`` are the highest numbers that stand on the disks: those that are given out from now on
        are beyond them. A store whose name nobody knows keeps its blobs.
        """
        with self.database.write() as connection:
            _jump(connection, dicom_store.name, stores)
            _jump(connection, upload.name, uploads)
            is_new = connection.execute(select(dicom_store.c.id).limit(1)).first() is None
            values = ({"rebuilding": True} if is_new else {}) | ({"mark": mark} if mark else {})
            if values:
                connection.execute(update(generation).values(values))

    def follow(self, commits: int, prefix_of: PrefixOf, reached: int) -> None:
        """Go on beside blobs that ``commits`` transactions have written, of which this index does not know all.
        ``reached`` are those that are known of: where the index has come so far, another server has done this at the
        same moment, and nothing is left to give up.

        What it has not finished may have been finished by those. So it gives up the right to delete what it does not
        know: uploads and operations that are not done begin behind everything that may be there. And the numbers of
        stores and uploads jump, so that no directory is used twice. ``commits`` rises with each call, also where the
        same copy of an index is put back again.
        """
        with self.database.write() as connection:
            now = connection.execute(select(generation.c.commits)).scalar_one()
            if now < reached:
                connection.execute(delete(upload))
                _restart_operations(connection, commits, prefix_of)
                for table in (dicom_store, upload):
                    _jump(connection, table.name)
            connection.execute(update(generation).values(commits=max(now, commits) + 1))


def _restart_operations(connection: Connection, commits: int, prefix_of: PrefixOf) -> None:
    """Each attempt begins with a transaction, so none was ever numbered higher than ATTEMPTS and their number, in
    whatever index beside these blobs."""
    columns = operation.c.id, operation.c.store_id, operation.c.attempt
    for row in connection.execute(select(*columns).where(operation.c.end_time.is_(None))).all():
        attempt = max(row.attempt + 1, ATTEMPTS + commits)
        values = {"attempt": attempt, "blob_prefix": prefix_of(row.store_id, row.id, attempt)}
        connection.execute(update(operation).where(operation.c.id == row.id).values(values))


def _jump(connection: Connection, table: str, above: int = 0) -> None:
    """The next number is beyond all that another index may have given out, and beyond ``above``."""
    raise_numbers(connection, table, above, secrets.randbits(JUMP_BITS))
