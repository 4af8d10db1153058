"""Answers of DICOMweb services: of any media type, whole or as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gantry.api.accept import Offer
from gantry.api.call import Call
from gantry.api.lanes import Lane


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is the whole body, or an iterator over its pieces, which are made while others are sent."""

    body: bytes | Iterator[bytes]
    content_type: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Later(NamedTuple):
    """In the place of an answer: ``make`` makes it, in a thread of another lane."""

    lane: Lane
    make: Callable[[], Answer]


Begun = tuple[Answer, list[bytes]]
"""An answer, and the first pieces of its body where that is an iterator."""


class WebHandler(NamedTuple):
    """Marks a handler of the method table that reads and writes streams. It runs in a thread of its ``lane``.

    ``offers`` are what it negotiates about, ``parameters`` names those of the query that it reads, and ``reads`` are
    the media types of bodies: the capabilities list them.
    """

    call: Callable[[Call], Answer | Later]
    lane: Lane = Lane.LONG
    offers: tuple[Offer, ...] = ()
    parameters: Callable[[], Sequence[str]] = tuple
    reads: tuple[Offer, ...] = ()
