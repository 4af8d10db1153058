"""What ``gantry check`` reads of the index, whatever a server writes meanwhile.

Each query sees one moment of it. No moment is kept for long: SQLite could not begin its write-ahead log anew meanwhile
(sqlite.org/wal.html), which would grow beside the server.
"""

# ruff: noqa: S608 - queries are made of the constants of these modules alone
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection

from gantry.findings import Finding
from gantry.index.check_changes import find_wrong_changes
from gantry.index.check_counts import ALIVE, find_wrong_counts
from gantry.index.check_damage import find_damage
from gantry.index.check_files import find_unclaimed
from gantry.index.check_objects import walk_objects
from gantry.index.check_requests import find_wrong_requests, find_wrong_times, make_request_table
from gantry.index.check_rows import find_overlaps, find_wrong_rows
from gantry.index.check_terms import find_wrong_terms, make_term_tables
from gantry.index.dialect import is_sqlite
from gantry.index.garbage import Garbage
from gantry.index.generations import Generations
from gantry.index.instances import Instances
from gantry.index.read_only import ReadOnlyDatabase
from gantry.index.segments import Segments
from gantry.index.temporary_tables import INTEGER, TEXT, execute, make_table, note_contents, one_moment
from gantry.index_protocols.checks import Extents, HeldBlobs, PackUser, PackUsers

# Sorted by the database, in tables of the connection alone: there is no index for either. They are
# filled by one statement, and read afterwards one by one, together with what the rows say then.
_PACK_USERS = """
    INSERT INTO found SELECT pack_id, series_id, sop_instance_uid FROM instance
    WHERE pack_id IS NOT NULL ORDER BY 1, 2, 3
"""
_PACK = f"SELECT data, series_id = 0 OR series_id IN (SELECT id FROM series WHERE store_id {ALIVE}) FROM header_pack "
_EXTENTS = f"""
    INSERT INTO found SELECT segment_id, series_id, sop_instance_uid FROM instance
    JOIN segment ON segment.id = segment_id WHERE segment.store_id {ALIVE} ORDER BY 1, 2, 3
"""
_SEGMENT = "SELECT key, store_id, sealed FROM segment WHERE id = ?"
_NEXT = "SELECT min(number) FROM found WHERE number > ?"
_UIDS = """
    study_instance_uid, series_instance_uid, sop_instance_uid
    FROM found JOIN instance USING (series_id, sop_instance_uid)
    JOIN series ON series.id = series_id JOIN study ON study.id = series.study_id WHERE found.number = ? AND
"""
_USERS = f"SELECT coalesce(pack_number, -1), {_UIDS} pack_id = found.number ORDER BY 1"
_PLACES = f"SELECT segment_offset, size, {_UIDS} segment_id = found.number ORDER BY 1"


class Checks:
    """Promises: ``index_protocols.CheckIndex``."""

    def __init__(self, database: ReadOnlyDatabase) -> None:
        self.database = database

    def find_damage(self) -> Iterator[Finding]:
        with self.database.read() as connection:
            if is_sqlite(connection):  # PostgreSQL looks after its own files
                yield from find_damage(connection)

    def find_wrong_counts(self) -> Iterator[Finding]:
        return self._in_snapshots(find_wrong_counts)

    def find_wrong_rows(self) -> Iterator[Finding]:
        return self._in_snapshots(find_wrong_rows)

    def find_overlaps(self) -> Iterator[Finding]:
        return self._in_snapshots(find_overlaps)

    def find_wrong_terms(self) -> Iterator[Finding]:
        with self.database.read() as connection:
            make_term_tables(connection)
            make_request_table(connection)
            with one_moment(connection):
                yield from find_wrong_terms(connection)
                yield from find_wrong_times(connection)
                yield from find_wrong_requests(connection)

    def find_wrong_changes(self) -> Iterator[Finding]:
        return self._in_snapshots(find_wrong_changes)

    def walk_packs(self) -> Iterator[PackUsers]:
        with self.database.read() as connection:
            for number in _walk(connection, _PACK_USERS):
                with one_moment(connection):
                    rows = execute(connection, _USERS, (number,)).all()
                    found = execute(connection, f"{_PACK} WHERE id = ?", (number,)).one_or_none()
                users = [PackUser(row[0], (row[1], row[2], row[3])) for row in rows]
                if found is not None:
                    yield PackUsers(number, found[0], users, bool(found[1]))
                elif users:
                    yield PackUsers(number, None, users, True)

    def walk_segments(self) -> Iterator[Extents]:
        with self.database.read() as connection:
            for number in _walk(connection, _EXTENTS):
                with one_moment(connection):
                    rows = execute(connection, _PLACES, (number,)).all()
                    found = execute(connection, _SEGMENT, (number,)).one_or_none()
                if found is not None:
                    places = [(row[0], row[1], (row[2], row[3], row[4])) for row in rows]
                    yield Extents(found[0], found[1], bool(found[2]), places)

    def walk_objects(self) -> Iterator[HeldBlobs]:
        with self.database.read() as connection:
            yield from walk_objects(connection)

    def find_unclaimed(self, objects: Sequence[str]) -> set[str]:
        with self.database.read_snapshot() as connection:
            return find_unclaimed(connection, objects)

    def _in_snapshots(self, find: Callable[[Connection], Iterator[Finding]]) -> Iterator[Finding]:
        """Each of its queries sees one moment."""
        with self.database.read() as connection:
            yield from find(connection)


def _walk(connection: Connection, fill: str) -> Iterator[int]:
    """Fill the table ``found``; the numbers in it, in order, without a statement that stays open meanwhile."""
    make_table(connection, "found", {"number": INTEGER, "series_id": INTEGER, "sop_instance_uid": TEXT})
    execute(connection, fill)
    note_contents(connection, "found")
    last: int | None = -1
    while (last := execute(connection, _NEXT, (last,)).scalar()) is not None:
        yield last


class ReadOnlyIndex:
    """The parts of the index that a check reads. Promises: ``index_protocols.CheckedIndex``."""

    def __init__(self, database: ReadOnlyDatabase) -> None:
        self.database = database
        self.checks = Checks(database)
        self.instances = Instances(database)
        self.segments = Segments(database)
        self.garbage = Garbage(database)
        self.generations = Generations(database)

    def has_servers(self) -> bool:
        """Whether a server uses it that the lock of the data directory need not tell of. Raises Unavailable."""
        return self.database.has_servers()

    def close(self) -> None:
        self.database.engine.dispose()
