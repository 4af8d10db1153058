"""Parts of many instances in one answer (PS3.18 §10.4.3.3): an instance that fails never takes its neighbours away."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from typing import NamedTuple

from gantry.containment import contain
from gantry.errors import (
    Cancelled,
    CrashingPixels,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    NotFound,
    Replaced,
    StatusError,
)
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.departure import require_client
from gantry.studies.headers import name_instance
from gantry.studies.holding_back import make_first, send_held
from gantry.studies.looking_up import find_now

logger = logging.getLogger(__name__)

HELD_BACK = 1 << 20
"""Bytes that are made before the first one is sent. What fails until then is named in a header of the answer. Some 30
pictures of a CT, so that the answer of a large study still begins at once."""


_LASTING = (FailedPrecondition, InvalidArgument)
"""Errors that an instance has as long as its bytes are the same; all others may be over when it is read again. So may
CrashingPixels: a worker also dies where the machine has no memory left."""


class Part(NamedTuple):
    """One part: its ``headers``, and its bytes, to be read before the next part."""

    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class Piece(NamedTuple):
    """Bytes of a part; where they are its first ones, ``headers`` are those of the part, else None."""

    headers: Mapping[str, str] | None
    data: bytes


class Job(NamedTuple):
    """``make`` gives the parts of an instance, and an error for each that cannot be made; it may raise one, too."""

    row: StoredInstance
    make: Callable[[], Generator[Part | StatusError, None, None]]


class Failures:
    """How many parts and instances could not be sent, and the error of the first one; with its UID."""

    def __init__(self) -> None:
        self.count = 0
        self.first: StatusError | None = None

    def add(self, row: StoredInstance, error: StatusError) -> None:
        failure = name_instance(row, error)
        logger.warning("%s is left out of an answer: %s", ResourcePath(*row.uids), failure.message)
        self.count += 1
        self.first = self.first or failure


class Gathered(NamedTuple):
    """The pieces of all parts, to be read once. ``root`` is the Content-Type of the first part, "" where there is none.
    ``left_out`` failed before anything is sent. ``unread`` has an instance of which something may be readable next
    time; it is filled while the pieces are read."""

    pieces: Generator[Piece, None, None]
    root: str
    left_out: Failures
    unread: list[StoredInstance]


Plan = Callable[[Iterator[StoredInstance]], Iterator[Job]]


def gather_parts(seams: Seams, store: DicomStoreName, plan: Plan, rows: Iterator[StoredInstance]) -> Gathered:
    """The parts that ``plan`` makes of each instance, in their order; HELD_BACK bytes and one piece are in memory.

    What fails once something is sent is raised after all other parts, so that the answer cannot be taken for complete.
    Instances that are deleted meanwhile are left out without an error; those that are replaced are sent as they are
    now. Raises Replaced where that happens before something is sent, Interrupted, and Cancelled where the client has
    disconnected.
    """
    sender = _Sender(seams, store, plan)
    pieces = sender.send(rows)
    held = make_first(pieces, HELD_BACK)
    left_out, sender.failures, sender.has_begun = sender.failures, Failures(), True
    root = held[0].headers["content-type"] if held and held[0].headers else ""
    return Gathered(_send_held(held, pieces, sender.failures), root, left_out, sender.unread)


def _send_held(held: deque[Piece], rest: Generator[Piece, None, None], later: Failures) -> Generator[Piece, None, None]:
    yield from send_held(held, rest)
    if later.first is not None:
        raise later.first


class _Sender:
    """Sends the parts of one answer. ``has_begun``: something is sent. ``is_inside``: a part has begun and not ended.
    ``sent``: how many parts of the present instance have ended."""

    def __init__(self, seams: Seams, store: DicomStoreName, plan: Plan) -> None:
        self.seams, self.store, self.plan = seams, store, plan
        self.failures = Failures()
        self.unread: list[StoredInstance] = []
        self.has_begun = self.is_inside = False
        self.sent = 0

    def send(self, rows: Iterator[StoredInstance], is_anew: bool = False) -> Generator[Piece, None, None]:
        for row, make in self.plan(rows):
            require_client()  # most instances of a study may have no part
            self.sent = 0
            try:
                with contain(ResourcePath(*row.uids), "while its parts were made"), closing(make()) as made:
                    yield from self._send_instance(row, made)
            except StatusError as error:
                if self.is_inside:  # other bytes would seem to belong to the part
                    raise name_instance(row, error) from None
                if isinstance(error, Cancelled | Interrupted):
                    raise
                if isinstance(error, Replaced) and not self.has_begun:
                    raise
                if isinstance(error, Replaced) and not (self.sent or is_anew):
                    yield from self._send_anew(row)
                elif not (isinstance(error, NotFound) and self._is_deleted(row)):
                    self._fail(row, error)

    def _send_anew(self, row: StoredInstance) -> Iterator[Piece]:
        with suppress(NotFound):  # deleted meanwhile
            yield from self.send(iter([find_now(self.seams, self.store, row)]), is_anew=True)

    def _fail(self, row: StoredInstance, error: StatusError) -> None:
        self.failures.add(row, error)
        if not isinstance(error, _LASTING) or isinstance(error, CrashingPixels):
            self.unread[:] = [row]

    def _send_instance(self, row: StoredInstance, made: Iterator[Part | StatusError]) -> Iterator[Piece]:
        for part in made:
            if isinstance(part, StatusError):
                self._fail(row, part)
            else:
                yield from self._send_part(part)

    def _send_part(self, part: Part) -> Iterator[Piece]:
        headers: Mapping[str, str] | None = part.headers
        for data in part.pieces:
            yield Piece(headers, data)
            headers, self.is_inside = None, True
        if headers is not None:  # a value without bytes
            yield Piece(headers, b"")
        self.is_inside = False
        self.sent += 1

    def _is_deleted(self, row: StoredInstance) -> bool:
        try:
            find_now(self.seams, self.store, row)
        except NotFound:
            return True
        return False
