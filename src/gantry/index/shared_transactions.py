"""Small writes of many threads in one transaction, so that they share the sync of its commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from gantry.errors import Interrupted
from gantry.index.database import Database

MOST = 50
"""Writes in one transaction: other writers wait for all of them, some 20 ms where each stores one instance."""

Out = TypeVar("Out")


class _Write(Generic[Out]):
    def __init__(self, act: Callable[[Connection], Out]) -> None:
        self._act = act
        self._results: list[Out] = []
        self.error: BaseException | None = None
        self.done = False

    def run(self, connection: Connection) -> None:
        """In a part of the transaction that is undone where the write is refused. Raises what breaks all of it."""
        connection.exec_driver_sql("SAVEPOINT shared")
        try:
            self._results.append(self._act(connection))
        except (OperationalError, Interrupted):
            raise
        except Exception as error:  # whatever it is, it is about this write alone
            self.error = error
            connection.exec_driver_sql("ROLLBACK TO shared")
        connection.exec_driver_sql("RELEASE shared")

    def get(self) -> Out:
        if self.error is not None:
            raise self.error
        return self._results[0]


class SharedTransactions:
    """``run`` from any thread: each write happens alone, is undone alone where it raises an error, and is on disk when
    its call returns. Where the transaction itself fails, every write in it raises that error."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._waiting: list[_Write[Any]] = []
        self._running = False

    def run(self, act: Callable[[Connection], Out]) -> Out:
        """The result of ``act``. Raises what it raises, and Interrupted."""
        mine = _Write(act)
        with self._changed:
            self._waiting.append(mine)
            while not mine.done:
                if self._running:
                    self._changed.wait()
                else:
                    self._lead(mine)
        return mine.get()

    def _lead(self, mine: _Write[Any]) -> None:
        """Write for all who have come until it is this thread's turn. Whoever comes later waits for the next time."""
        self._running = True
        self._changed.release()
        taken: list[_Write[Any]] = []
        failed: BaseException | None = None
        try:
            with self._database.write() as connection:
                taken = self._take(mine)
                for each in taken:
                    each.run(connection)
        except BaseException as error:
            failed = error
        finally:
            self._changed.acquire()
            self._running = False
            self._finish(taken, mine, failed)
            self._changed.notify_all()

    def _take(self, mine: _Write[Any]) -> list[_Write[Any]]:
        with self._changed:
            others = [each for each in self._waiting if each is not mine]
            taken = [mine, *others[: MOST - 1]]
            self._waiting = others[MOST - 1 :]
        return taken

    def _finish(self, taken: list[_Write[Any]], mine: _Write[Any], failed: BaseException | None) -> None:
        if mine in self._waiting:  # its turn did not come
            self._waiting.remove(mine)
            taken = [mine]
        for each in taken:
            each.done = True
            if failed is not None:
                each.error = failed
