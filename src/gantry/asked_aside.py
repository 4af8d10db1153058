"""A question that may hang, because a disk answers it: asked in a thread of its own, so that whoever asks goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

ANSWER_SECONDS = 1.0
"""Until a question counts as one that hangs. A busy disk takes some tenths of a second."""


class AskedAside:
    """``ask`` is called by one thread at a time, however long it takes: nothing piles up behind a disk that hangs."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._call: Future[bool] | None = None

    def get(self, unanswered: bool) -> bool:
        """What ``ask`` answers now; ``unanswered`` where it gives no answer. Raises what it raises."""
        if self._call is None or self._call.done():
            self._call = Future()
            threading.Thread(target=self._run, args=(self._call,), name="question", daemon=True).start()
        call = self._call
        return call.result() if wait([call], ANSWER_SECONDS).done else unanswered

    def _run(self, call: Future[bool]) -> None:
        try:
            call.set_result(self._ask())
        except BaseException as error:
            call.set_exception(error)
