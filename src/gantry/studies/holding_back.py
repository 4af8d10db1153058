"""The first bytes of an answer are made before any is sent: what fails until then can still be said in its head."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Protocol, TypeVar


class Sized(Protocol):
    """A piece of an answer."""

    @property
    def data(self) -> bytes: ...


Piece = TypeVar("Piece", bound=Sized)


def make_first(pieces: Iterator[Piece], most: int) -> deque[Piece]:
    """The first pieces, until they have ``most`` bytes. Raises what making them raises."""
    held: deque[Piece] = deque()
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece.data)
        if size >= most:
            break
    return held


def send_held(held: deque[Piece], rest: Generator[Piece, None, None]) -> Generator[Piece, None, None]:
    """All pieces; each one that is held is freed once it is sent."""
    with closing(rest):
        while held:
            yield held.popleft()
        yield from rest
