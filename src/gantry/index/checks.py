"""What ``gantry check`` reads of the index. Each call sees one moment of it, whatever a server writes meanwhile."""

# ruff: noqa: S608 - queries are made of the constants of these modules alone
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection

from gantry.findings import Finding, Kind
from gantry.index.check_counts import ALIVE, find_wrong_counts
from gantry.index.check_files import find_unclaimed
from gantry.index.check_rows import find_overlaps, find_wrong_rows
from gantry.index.check_terms import find_wrong_terms
from gantry.index.garbage import Garbage
from gantry.index.generations import Generations
from gantry.index.instances import Instances
from gantry.index.read_only import ReadOnlyDatabase
from gantry.index.segments import Segments
from gantry.index_protocols.checks import Extents, PackUser, PackUsers

_MOST_DAMAGE = 100  # lines of SQLite: one damaged page can make thousands
# Sorted on the disk by SQLite: there is no index for either, and the whole of it may not fit in memory.
_PACK_USERS = """
    SELECT pack_id, pack_number, study_instance_uid, series_instance_uid, sop_instance_uid
    FROM instance JOIN series ON series.id = series_id JOIN study ON study.id = series.study_id
    WHERE pack_id IS NOT NULL ORDER BY pack_id, pack_number
"""
_PACK = f"SELECT data, series_id = 0 OR series_id IN (SELECT id FROM series WHERE store_id {ALIVE}) FROM header_pack "
_EXTENTS = f"""
    SELECT segment.id, key, segment.store_id, sealed, segment_offset, size,
    study_instance_uid, series_instance_uid, sop_instance_uid
    FROM segment JOIN instance ON segment_id = segment.id
    JOIN series ON series.id = series_id JOIN study ON study.id = series.study_id
    WHERE segment.store_id {ALIVE} ORDER BY segment.id, segment_offset
"""


class Checks:
    """Promises: ``index_protocols.CheckIndex``."""

    def __init__(self, database: ReadOnlyDatabase) -> None:
        self.database = database

    def find_damage(self) -> Iterator[Finding]:
        with self.database.read() as connection:
            for (line,) in connection.exec_driver_sql(f"PRAGMA quick_check({_MOST_DAMAGE})"):
                if line != "ok":
                    yield Finding(Kind.INDEX_DAMAGED, "index.sqlite", str(line).replace("\n", " ")[:300])

    def find_wrong_counts(self) -> Iterator[Finding]:
        return self._in_snapshot(find_wrong_counts)

    def find_wrong_rows(self) -> Iterator[Finding]:
        return self._in_snapshot(find_wrong_rows)

    def find_overlaps(self) -> Iterator[Finding]:
        return self._in_snapshot(find_overlaps)

    def find_wrong_terms(self) -> Iterator[Finding]:
        return self._in_snapshot(find_wrong_terms)

    def walk_packs(self) -> Iterator[PackUsers]:
        with self.database.read_snapshot() as connection:
            for number, rows in groupby(connection.exec_driver_sql(_PACK_USERS), itemgetter(0)):
                users = [PackUser(-1 if row[1] is None else row[1], (row[2], row[3], row[4])) for row in rows]
                found = connection.exec_driver_sql(f"{_PACK} WHERE id = ?", (number,)).one_or_none()
                yield (
                    PackUsers(number, None, users, True)
                    if found is None
                    else PackUsers(number, found[0], users, bool(found[1]))
                )

    def walk_segments(self) -> Iterator[Extents]:
        with self.database.read_snapshot() as connection:
            for (_, key, store_id, sealed), rows in groupby(
                connection.exec_driver_sql(_EXTENTS), itemgetter(0, 1, 2, 3)
            ):
                yield Extents(key, store_id, bool(sealed), [(row[4], row[5], (row[6], row[7], row[8])) for row in rows])

    def find_unclaimed(self, objects: Sequence[str]) -> set[str]:
        with self.database.read_snapshot() as connection:
            return find_unclaimed(connection, objects)

    def _in_snapshot(self, find: Callable[[Connection], Iterator[Finding]]) -> Iterator[Finding]:
        with self.database.read_snapshot() as connection:
            yield from find(connection)


class ReadOnlyIndex:
    """The parts of the index that a check reads. Promises: ``index_protocols.CheckedIndex``."""

    def __init__(self, database: ReadOnlyDatabase) -> None:
        self.database = database
        self.checks = Checks(database)
        self.instances = Instances(database)
        self.segments = Segments(database)
        self.garbage = Garbage(database)
        self.generations = Generations(database)

    def close(self) -> None:
        self.database.engine.dispose()
