"""WADO-RS of whole instances and bulk data (PS3.18 §10.4): as stored, or transcoded by workers."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from functools import partial
from typing import Any, NamedTuple

from gantry.containment import contain
from gantry.dicom import forms
from gantry.dicom.buffers import Sliceable
from gantry.dicom.bulk import BulkPath, Encapsulated, find_bulk, parse_bulk_path
from gantry.dicom.open_source import count_frames
from gantry.dicom.video import Video
from gantry.errors import (
    DataLoss,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    NotAcceptable,
    NotFound,
    StatusError,
)
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import OpenedObject, Seams
from gantry.studies.decoded_frames import DecodedFrames
from gantry.studies.headers import named
from gantry.studies.pixel_work import finished, frames_of_blob, in_order, made_of, submit, transcode_blob

logger = logging.getLogger(__name__)

ANY = "*"
PIXEL_DATA: BulkPath = (0x7FE00010,)
_AHEAD = 256 << 20
_MOST_WAITING = 64
HELD_BACK = 16 << 20
"""Bytes that are made before the first one goes out: until then an error still has a status of its own."""

_LOOKS = 3
"""How often an instance whose bytes have just been moved is looked up."""

__all__ = [
    "ANY",
    "PIXEL_DATA",
    "Piece",
    "Value",
    "bulk",
    "instance",
    "instances",
    "open_blob",
    "parse_bulk_path",
    "video_type",
]


class Piece(NamedTuple):
    """Some bytes of an instance; ``begins`` is it where they are the first ones."""

    begins: StoredInstance | None
    data: bytes


class Value(NamedTuple):
    """Bytes to be given: all of an open blob, or a ``value`` or a video in it, or ``data``.

    Whoever has it closes it.
    """

    blob: OpenedObject | None
    size: int
    data: bytes = b""
    value: Sliceable | None = None
    video: Video | None = None

    @classmethod
    def of(cls, data: bytes) -> Value:
        return cls(None, len(data), data)

    def read(self, start: int, length: int) -> bytes:
        """At most ``length`` bytes from ``start`` of the value."""
        length = min(length, self.size - start)
        if self.video is not None:
            return self.video.read_at(start, length)
        if self.value is not None:
            return bytes(self.value[start : start + length])
        return self.data[start : start + length] if self.blob is None else self.blob.read_at(start, length)

    def close(self) -> None:
        if self.blob is not None:
            self.blob.__exit__(None, None, None)


def instance(seams: Seams, store: DicomStoreName, row: StoredInstance, syntax: str, explicit: bool) -> Value:
    """One instance in a transfer syntax, as ``instances`` gives it."""
    if syntax in (ANY, row.transfer_syntax_uid):
        return _opened(seams, store, row)
    _require_transcodable(seams, store, ResourcePath(*row.uids), syntax, explicit)
    try:
        return Value.of(made_of(seams, store, row, transcode_blob, transfer_syntax_uid=syntax))
    except StatusError as error:
        raise named(row, not_acceptable(error)) from None


def _opened(seams: Seams, store: DicomStoreName, row: StoredInstance) -> Value:
    blob = open_blob(seams, store, row)
    if blob is None:
        raise NotFound(f"instance {row.sop_instance_uid} was deleted just now")
    return Value(blob, blob.size)


def instances(seams: Seams, store: DicomStoreName, path: ResourcePath, syntax: str, explicit: bool) -> Iterator[Piece]:
    """All instances of a path in a transfer syntax, ``*`` for as they are stored.

    Nothing is answered unless every transfer syntax can be had in that one: NotAcceptable says which one cannot.
    ``explicit``: the syntax was asked for by the client. What is wrong with one instance is raised with its UID, behind
    the pieces of the others, or before them where it is found while the first HELD_BACK bytes are made; for one that
    cannot be transcoded it is NotAcceptable. Raises NotFound.
    """
    rows = seams.index.instances.list_below(store, path)
    sending = _Sending(seams, store, syntax)
    if syntax == ANY:
        return sending.pieces(rows)
    _require_transcodable(seams, store, path, syntax, explicit)
    return _held_back(sending, sending.pieces(rows))


def _held_back(sending: _Sending, pieces: Iterator[Piece]) -> Iterator[Piece]:
    held: deque[Piece] = deque()
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece.data)
        if size >= HELD_BACK:
            break
    if sending.failure is not None:
        raise sending.failure
    while held:  # let go as they are sent: a slow client keeps no more than what it waits for
        yield held.popleft()
    yield from pieces


def _require_transcodable(seams: Seams, store: DicomStoreName, path: ResourcePath, syntax: str, explicit: bool) -> None:
    for stored in seams.index.instances.list_transfer_syntaxes(store, path):
        if stored not in forms.DECODABLE and stored != syntax:
            asked = f"transfer syntax {syntax}" + ("" if explicit else ", which is meant where none is named")
            error = NotAcceptable(
                f"it is stored in transfer syntax {stored}, which cannot be transcoded to {asked}; "
                "ask for transfer-syntax=*"
            )
            rows = (row for row in seams.index.instances.list_below(store, path) if row.transfer_syntax_uid == stored)
            raise next((named(row, error) for row in rows), error)


def open_blob(seams: Seams, store: DicomStoreName, row: StoredInstance) -> OpenedObject | None:
    """Where the bytes are now; None for an instance that was deleted meanwhile. Raises DataLoss where they are gone."""
    for _ in range(_LOOKS):
        try:
            return seams.blobs.open(row.blob_key)
        except NotFound:
            before = row
        try:
            row = next(seams.index.instances.list_below(store, ResourcePath(*row.uids)))
        except NotFound:
            return None
        if row.blob_key == before.blob_key:
            break
    raise DataLoss(f"the file of instance {row.sop_instance_uid} is gone")


class _Sending:
    """One answer: runs of instances that need no work are sent as they are; others are worked on a few ahead."""

    def __init__(self, seams: Seams, store: DicomStoreName, syntax: str) -> None:
        self.seams, self.store, self.syntax = seams, store, syntax
        self.failure: StatusError | None = None

    def pieces(self, rows: Iterator[StoredInstance]) -> Iterator[Piece]:
        waiting: list[StoredInstance] = []
        for row in rows:
            if not self._is_ready(row):
                waiting.append(row)
                if len(waiting) < _MOST_WAITING:
                    continue
            yield from self._made(waiting)
            waiting.clear()
            if self._is_ready(row):
                yield from self._stored(row)
        yield from self._made(waiting)
        if self.failure is not None:
            raise self.failure

    def _is_ready(self, row: StoredInstance) -> bool:
        return self.syntax in (ANY, row.transfer_syntax_uid)

    def _stored(self, row: StoredInstance) -> Iterator[Piece]:
        """One that breaks off half way ends the answer: what follows would be taken for the rest of it."""
        try:
            blob = open_blob(self.seams, self.store, row)
        except StatusError as error:
            self._fail(row, error)
            return
        begins: StoredInstance | None = row
        try:
            with blob or nullcontext():
                for chunk in blob.chunks() if blob else ():
                    yield Piece(begins, chunk)
                    begins = None
        except StatusError as error:
            if begins is None:
                raise named(row, error) from None
            self._fail(row, error)

    def _made(self, rows: Sequence[StoredInstance]) -> Iterator[Piece]:
        options: dict[str, Any] = {"transfer_syntax_uid": self.syntax}
        calls = (partial(submit, self.seams, row, transcode_blob, **options) for row in rows)
        futures = in_order(calls, _window(self.seams, rows))
        with closing(futures):
            for row, future in zip(rows, futures, strict=True):
                try:
                    data = finished(self.seams, self.store, row, future, transcode_blob, **options)
                except NotFound:
                    continue  # deleted meanwhile
                except StatusError as error:
                    self._fail(row, not_acceptable(error))
                    continue
                yield Piece(row, data)

    def _fail(self, row: StoredInstance, error: StatusError) -> None:
        if isinstance(error, Interrupted):
            raise error
        told = named(row, error)
        logger.warning("%s is left out of an answer: %s", ResourcePath(*row.uids), told.message)
        self.failure = self.failure or told


def not_acceptable(error: StatusError) -> StatusError:
    """What is the matter with the instance as the answer to a request for a transfer syntax: 406, not 400, because the
    request is right (PS3.18 §8.7.8, RFC 9110 §15.5.7)."""
    if isinstance(error, FailedPrecondition | InvalidArgument):
        return NotAcceptable(f"{error.message}; ask for transfer-syntax=*")
    return error


def _window(seams: Seams, rows: Sequence[StoredInstance]) -> int:
    """How many may be worked on at a time, so that those that wait for their turn stay within memory."""
    return max(1, min(seams.window, _AHEAD // max(1, *(row.size for row in rows)))) if rows else 1


# --- bulk data


def video_type(seams: Seams, store: DicomStoreName, row: StoredInstance) -> str:
    """The media type of what is stored as a video. Raises StatusError for one that cannot be read."""
    value = bulk(seams, store, row, PIXEL_DATA)
    value.close()
    return value.video.media_type if value.video else forms.OCTETS


def bulk(seams: Seams, store: DicomStoreName, row: StoredInstance, path: BulkPath) -> Value:
    """The value of an element, little endian; of encapsulated pixel data the stream if it is a video, else the decoded
    frames, one after the other.

    Raises NotFound where there is none.
    """
    value = _opened(seams, store, row)
    assert value.blob is not None  # noqa: S101
    try:
        with contain(str(ResourcePath(*row.uids)), "while its bulk data were looked for"):
            found = find_bulk(value.blob, path)
            if isinstance(found, Encapsulated) and len(path) == 1 and forms.video_types(row.transfer_syntax_uid):
                made = Video(value.blob, found.start, found.end, row.transfer_syntax_uid)
                return value._replace(size=made.size, video=made)
            count = count_frames(value.blob) if isinstance(found, Encapsulated) and len(path) == 1 else 0
    except BaseException:
        value.close()
        raise
    if count:
        value.close()
        frames = DecodedFrames(seams, store, row, count)
        return Value(None, len(frames), value=frames)
    if isinstance(found, Encapsulated):
        value.close()
        decoded = made_of(
            seams, store, row, frames_of_blob, transfer_syntax_uid=forms.EXPLICIT_LE, wanted=None, path=found.path
        )
        return Value.of(b"".join(decoded))
    if isinstance(found, bytes):
        value.close()
        return Value.of(found)
    return value._replace(size=len(found), value=found)
