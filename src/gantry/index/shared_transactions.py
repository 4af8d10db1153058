"""Small writes of many threads in one transaction, so that they share the sync of its commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from gantry.errors import Internal, Interrupted
from gantry.index.database import Database
from gantry.index.deferred import begin_part, end_part, send, undo_part
from gantry.index.refusals import translated

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
        begin_part(connection, "shared")
        try:
            with translated():
                result = self._act(connection)
                send(connection)
                self._results.append(result)
        except (Interrupted, Internal):
            raise
        except Exception as error:  # whatever it is, it is about this write alone
            self.error = error
            undo_part(connection, "shared")
        end_part(connection, "shared")

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
                    self._wait(mine)
                else:
                    self._lead(mine)
        return mine.get()

    def _wait(self, mine: _Write[Any]) -> None:
        """Where the thread is interrupted, its write does not happen, or has happened when the error is raised."""
        try:
            self._changed.wait()
        except BaseException:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:
                self._changed.wait_for(lambda: mine.done)
            raise

    def _lead(self, mine: _Write[Any]) -> None:
        """Write for all who have come until it is this thread's turn. Whoever comes later waits for the next time."""
        self._running = True
        waiting = list(self._waiting)
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
            self._finish(taken or self._give_up(waiting, mine, failed), mine, failed)
            self._changed.notify_all()

    def _take(self, mine: _Write[Any]) -> list[_Write[Any]]:
        with self._changed:
            others = [each for each in self._waiting if each is not mine]
            taken = [mine, *others[: MOST - 1]]
            self._waiting = others[MOST - 1 :]
        return taken

    def _give_up(
        self, waiting: list[_Write[Any]], mine: _Write[Any], failed: BaseException | None
    ) -> list[_Write[Any]]:
        """The writes whose turn did not come: all that have waited for it as long as this thread. Would each of them
        wait for a turn of its own, the last one would wait for the sum of all."""
        lost = waiting if isinstance(failed, Exception) else [mine]
        self._waiting = [each for each in self._waiting if each not in lost]
        return lost

    def _finish(self, taken: list[_Write[Any]], mine: _Write[Any], failed: BaseException | None) -> None:
        for each in taken:
            each.done = True
            if failed is not None:
                is_theirs = each is mine or isinstance(failed, Exception)
                each.error = failed if is_theirs else Interrupted("the server ended this write; try again")
