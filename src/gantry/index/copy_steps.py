"""A copy of an index to another database, in steps that may be interrupted at any moment.

The target says that it is not whole (``copy_marks``) before it has a table, and each range of rows is written in a
transaction; the last key of a table is how far it has come. When all rows agree, the source is given up first, and
then the target is let go: at no moment could servers begin with both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import TableClause, update

from gantry.errors import DataLoss, FailedPrecondition
from gantry.index.copy_comparison import Digest, count_instances, digest_table, have_same_numbers
from gantry.index.copy_ends import End
from gantry.index.copy_marks import (
    CopyMark,
    CopyState,
    change_copy_mark,
    make_copy_mark,
    remove_copy_mark,
)
from gantry.index.copy_numbers import read_numbers, write_numbers
from gantry.index.copy_rows import TABLES, count_rows, find_last, read_rows, remove_all_rows, write_rows
from gantry.index.database import SCHEMA_VERSION, upgrade_schema
from gantry.index.dialect import is_sqlite
from gantry.index.refusals import BadValue, translated
from gantry.index.tables import generation

Tell = Callable[[str, int, int], None]
"""What is done, with a table: how many of its rows, of how many."""


class Copied(NamedTuple):
    """``continued``: a part was there already. ``stores``: store → studies and instances."""

    continued: bool
    tables: dict[str, Digest]
    stores: dict[int, tuple[int, int]]


class Copy:
    """From ``source`` to ``target``, neither of which anybody else uses meanwhile."""

    def __init__(self, source: End, target: End, tell: Tell) -> None:
        self._source, self._target, self._tell = source, target, tell

    def is_done(self) -> bool:
        """Whether the source was given up for this target, which is whole. Raises FailedPrecondition where it was
        given up for another one."""
        given_up = self._find_given_up()
        if given_up is None:
            return False
        found = self._target.read_mark()
        if found is not None and found.state is CopyState.VERIFIED and found.mark == given_up.mark:
            return False
        if found is None and not self._target.is_empty():
            there = self._target.describe(CopyState.VERIFIED, "")
            if there.mark == given_up.mark and there.commits > given_up.commits:
                return True
        raise refusal_of_source(self._source.name, given_up.place)

    def run(self) -> Copied:
        """All rows are in the target, and agree. Raises FailedPrecondition, NotFound, DataLoss."""
        if self._find_given_up() is not None:
            return self._compare(True)
        continued = self._prepare()
        try:
            return self._copy(continued)
        except DataLoss:
            if not continued:
                raise
        # What was there before is not what the source has: of an older copy of it, or by somebody else's hand.
        self._begin_anew(self._describe())
        return self._copy(False)

    def give_up_source(self) -> None:
        """No server begins with it any more."""
        if self._find_given_up() is None:
            with self._source.transaction() as connection:
                make_copy_mark(connection, self._source.describe(CopyState.MOVED, self._target.name))
        self._source.shorten_log()

    def let_target_go(self) -> None:
        """It is an index like any other, and a transaction ahead of the source."""
        if not is_sqlite(self._target.connection):
            self._target.connection.exec_driver_sql("ANALYZE")  # it knows nothing of what came at once
        with self._target.transaction() as connection:
            connection.execute(update(generation).values(commits=generation.c.commits + 1))
            remove_copy_mark(connection)
        self._target.shorten_log()

    def _find_given_up(self) -> CopyMark | None:
        mark = self._source.read_mark()
        return mark if mark is not None and mark.state is CopyState.MOVED else None

    def _describe(self) -> CopyMark:
        """Raises FailedPrecondition where the source is no whole index."""
        if self._source.read_mark() is not None:
            raise FailedPrecondition(f"{self._source.name} is not complete: a copy to it has not ended")
        return self._source.describe(CopyState.BEGUN, self._source.name)

    def _prepare(self) -> bool:
        """The target has its tables; whether it has rows of this source already."""
        wanted, found = self._describe(), self._target.read_mark()
        if found is None:
            self._require_empty()
            with self._target.transaction() as connection:
                make_copy_mark(connection, wanted)
            found = wanted
        if found.state is CopyState.MOVED or found.mark != wanted.mark:
            raise FailedPrecondition(
                f"{self._target.name} has rows of another index, or of one that is not used any more",
                advice="name an empty database, or a directory without such a file",
            )
        if found.state is CopyState.BEGUN or found[1:4] != wanted[1:4]:
            self._begin_anew(wanted)
            return False
        return True

    def _require_empty(self) -> None:
        if not self._target.is_empty():
            raise FailedPrecondition(
                f"{self._target.name} is not empty, and nothing in it is written over", advice="name an empty database"
            )

    def _begin_anew(self, wanted: CopyMark) -> None:
        if self._target.read_version() != SCHEMA_VERSION:
            upgrade_schema(self._target.url, self._target.name)
        with self._target.transaction() as connection:
            remove_all_rows(connection)
            change_copy_mark(connection, wanted._replace(state=CopyState.COPYING))

    def _copy(self, continued: bool) -> Copied:
        for table in TABLES:
            self._copy_table(table)
        with self._target.transaction() as connection:
            write_numbers(connection, read_numbers(self._source.connection))
        copied = self._compare(continued)
        with self._target.transaction() as connection:
            change_copy_mark(connection, self._describe()._replace(state=CopyState.VERIFIED))
        return copied

    def _copy_table(self, table: TableClause) -> None:
        total, done = count_rows(self._source.connection, table), count_rows(self._target.connection, table)
        last = find_last(self._target.connection, table)
        self._tell(f"copying {table.name}", done, total)
        for rows in read_rows(self._source.connection, table, last):
            try:
                with translated(), self._target.transaction() as connection:
                    write_rows(connection, table, rows)
            except BadValue as error:
                raise error.within(f"the table {table.name}") from error
            done += len(rows)
            self._tell(f"copying {table.name}", done, total)

    def _compare(self, continued: bool) -> Copied:
        """Raises DataLoss where a table differs."""
        tables = {}
        for table in TABLES:
            tables[table.name] = self._compare_table(table)
        stores = count_instances(self._source.connection)
        if stores != count_instances(self._target.connection):
            raise DataLoss(f"the stores in {self._source.name} and in the copy have other numbers of instances")
        if not have_same_numbers(self._source.connection, self._target.connection):
            raise DataLoss("the copy would give numbers out that were given out before")
        return Copied(continued, tables, stores)

    def _compare_table(self, table: TableClause) -> Digest:
        total = 2 * count_rows(self._source.connection, table)
        what = f"comparing {table.name}"
        source = digest_table(self._source.connection, table, lambda done: self._tell(what, done, total))
        target = digest_table(self._target.connection, table, lambda done: self._tell(what, source.rows + done, total))
        if source != target:
            raise DataLoss(
                f"the {target.rows} rows of {table.name} in {self._target.name} are not the {source.rows} of "
                f"{self._source.name}"
            )
        return source


def refusal_of_source(name: str, place: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"{name} is not used any more: its rows were copied to {place}", advice="name that one as FROM"
    )
