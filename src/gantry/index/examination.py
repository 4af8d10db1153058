"""Looks now and then whether the file of the index is damaged, before a call needs what is."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from gantry.index.refusals import RESTORE, describe_sqlite_error, is_damage

logger = logging.getLogger(__name__)

_REST = 200
"""Times as long as an examination takes is the pause after it: it gets half a percent of one processor."""
_PAUSE = 5.0  # seconds, at least
_SHORT_BYTES = 64 << 20  # an index of this size is examined in some tenths of a second
_NAMED = 3  # damaged tables in a message


class Examination:
    """``trouble`` is what was found, as a sentence; "" while all is well. ``connect`` opens an engine of its own: what
    other connections have in memory says nothing about the file."""

    def __init__(self, file: Path | None, connect: Callable[[], Engine]) -> None:
        self.trouble = ""
        self._file, self._connect = file, connect
        self._due = 0.0
        self._lock = threading.Lock()

    def note(self, trouble: str) -> None:
        """A call has met damage: it is looked for at once."""
        self.trouble, self._due = trouble, 0.0

    def run_short(self) -> None:
        """Examine an index of which it takes no time."""
        with suppress(OSError):  # then nothing is known of it, and whoever reads it meets the error
            if self._file is not None and os.path.getsize(self._file) <= _SHORT_BYTES:
                self.run()

    def run(self) -> None:
        """Examine the index if its time has come. Where it cannot be opened, what was found before stays."""
        with self._lock:
            if time.monotonic() < self._due:
                return
            begun = time.monotonic()
            try:
                damaged = self._find_damaged()
            except DBAPIError as error:
                self.trouble = f"the index cannot be read: {describe_sqlite_error(error)}"
            else:
                self.trouble = _describe(damaged)
            taken = time.monotonic() - begun
            self._due = time.monotonic() + max(_PAUSE, _REST * taken)

    def _find_damaged(self) -> list[str]:
        engine = self._connect()
        try:
            with engine.connect() as connection:
                query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                names = list(connection.exec_driver_sql(query).scalars())
                return [name for name in names if not _is_sound(connection, name)]
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
