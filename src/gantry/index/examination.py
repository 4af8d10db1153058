"""Looks now and then whether the file of the index is damaged, before a call needs what is."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gantry.errors import StatusError
from gantry.index.index_file import IndexFile
from gantry.index.refusals import RESTORE, describe_sqlite_error, is_damage

logger = logging.getLogger(__name__)

_REST = 200
"""Times as long as an examination takes is the pause after it: it gets half a percent of one processor."""
_PAUSE = 5.0  # seconds, at least
_LONGEST_PAUSE = 60.0
"""After trouble, which may pass: the first pause is ``_PAUSE``, then each is twice as long as the one before. Only what
was in trouble is examined again, and no longer than a fifth of the time (``_SHARE``)."""
_SHARE = 4
_SHORT_BYTES = 64 << 20  # an index of this size is examined in some tenths of a second
_NAMED = 3  # damaged tables in a message


class Examination:
    """``trouble`` is what was found, as a sentence; "" while all is well. ``connect`` opens an engine of its own: what
    other connections have in memory says nothing about the file."""

    def __init__(self, file: IndexFile, connect: Callable[[], Engine]) -> None:
        self.trouble = ""
        self._file, self._connect = file, connect
        self._due = 0.0
        self._failures = 0  # examinations in a row that have found trouble
        self._suspects: list[str] | None = None  # the tables in trouble; None to examine all
        self._taken = 0.0  # seconds that the last examination of all tables took
        self._lock = threading.Lock()

    def note(self, trouble: str) -> None:
        """A call has met damage: it is looked for at once."""
        if not self.trouble:
            self.trouble, self._due, self._suspects = trouble, 0.0, None

    def run_short(self) -> None:
        """Examine an index of which it takes no time."""
        try:
            size = 0 if self._file.path is None else os.path.getsize(self._file.path)
        except OSError:
            size = 0  # it is not there, which is found soon
        if size <= _SHORT_BYTES:
            self.run()

    def run(self) -> None:
        """Examine the index if its time has come."""
        with self._lock:
            if time.monotonic() < self._due:
                return
            begun = time.monotonic()
            self.trouble = self._file.find_trouble() or self._find_trouble()
            taken = time.monotonic() - begun
            if self._suspects is None:
                self._taken = taken
            self._due = time.monotonic() + self._choose_pause(taken)

    def _find_trouble(self) -> str:
        try:
            damaged = self._find_damaged()
        except DBAPIError as error:
            return f"the index cannot be read: {describe_sqlite_error(error)}"
        except StatusError as error:
            return error.what
        self._suspects = damaged or None
        return _describe(damaged)

    def _choose_pause(self, taken: float) -> float:
        if not self.trouble:
            was_in_trouble, self._failures = self._failures > 0, 0
            return _PAUSE if was_in_trouble else max(_PAUSE, _REST * self._taken)  # all tables, soon after trouble
        self._failures += 1
        return max(_SHARE * taken, min(_LONGEST_PAUSE, _PAUSE * 2.0 ** min(self._failures - 1, 20)))

    def _find_damaged(self) -> list[str]:
        """The damaged tables among the suspects, or among all. Where one cannot be read, it is the only suspect."""
        engine = self._connect()
        try:
            with engine.connect() as connection:
                query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                names = self._suspects or list(connection.exec_driver_sql(query).scalars())
                damaged = []
                for name in names:
                    self._suspects = [name]
                    if not _is_sound(connection, name):
                        damaged.append(name)
                return damaged
        finally:
            engine.dispose()


def _is_sound(connection: Connection, table: str) -> bool:
    """Each table alone, so that no long snapshot keeps the write-ahead log from beginning anew."""
    quoted = table.replace('"', '""')
    try:
        found = connection.exec_driver_sql(f'PRAGMA quick_check("{quoted}")').scalars().all()
    except DBAPIError as error:
        if is_damage(error):
            return False
        raise
    if found != ["ok"]:
        logger.error("the index is damaged: %s", "; ".join(map(str, found[:_NAMED])))
    return found == ["ok"]


def _describe(damaged: list[str]) -> str:
    if not damaged:
        return ""
    more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
    return f"the index is damaged (tables {', '.join(damaged[:_NAMED])}{more}); {RESTORE}"
