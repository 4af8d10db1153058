"""A lock that is given in the order in which it was asked for, and waited for no longer than a bound."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class WriterQueue:
    """One thread at a time, in turn; ``threading.Lock`` lets a busy thread take it again and again."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._busy = False

    @contextmanager
    def take_turn(self, seconds: float) -> Iterator[bool]:
        """True once it is this thread's turn, which ends with the block; False when it was not after ``seconds``."""
        mine = self._acquire(seconds)
        try:
            yield mine
        finally:
            if mine:
                self._release()

    def _acquire(self, seconds: float) -> bool:
        turn = threading.Event()
        with self._mutex:
            if not self._busy:
                self._busy = True
                return True
            self._waiting.append(turn)
        try:
            turn.wait(seconds)
        except BaseException:
            if not self._leave(turn):
                self._release()
            raise
        return not self._leave(turn)

    def _leave(self, turn: threading.Event) -> bool:
        """Wait no longer; False when the turn has come meanwhile."""
        with self._mutex:
            if turn.is_set():
                return False
            self._waiting.remove(turn)
            return True

    def _release(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._busy = False
