"""Calls that are made ahead of the work, where each of them waits for a network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

BYTES_AHEAD = 64 << 20
"""Of the objects that one worker process reads or writes ahead: small ones are held in memory."""

In = TypeVar("In")
Out = TypeVar("Out")


def call_ahead(
    act: Callable[[In], Out],
    items: Sequence[In],
    size_of: Callable[[In], int],
    concurrency: int,
    drop: Callable[[Out], object] = lambda _: None,
) -> Generator[tuple[In, Callable[[], Out]], None, None]:
    """Each item in order, with what returns or raises the outcome of ``act``.

    At most ``concurrency`` items are in work, and no more bytes than ``BYTES_AHEAD`` but those of one item. With one,
    ``act`` is called by whoever asks for the outcome, in its own thread. Closing the generator waits for the calls that
    run; ``drop`` gets the outcomes of the items that were not yielded.
    """
    if concurrency == 1:
        for item in items:
            yield item, partial(act, item)
        return
    with ThreadPoolExecutor(min(concurrency, len(items) or 1), "ahead") as threads:
        ahead, begun, size = deque[tuple[In, Future[Out]]](), 0, 0
        try:
            for item in items:
                while begun < len(items) and (
                    not ahead or (len(ahead) < concurrency and size + size_of(items[begun]) <= BYTES_AHEAD)
                ):
                    ahead.append((items[begun], threads.submit(act, items[begun])))
                    size, begun = size + size_of(items[begun]), begun + 1
                yield item, ahead.popleft()[1].result
                size -= size_of(item)
        finally:
            for _, call in ahead:
                if not call.cancel():
                    with suppress(Exception):  # nobody has asked for it
                        drop(call.result())
