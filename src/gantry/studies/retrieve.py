"""WADO-RS of whole instances and bulk data (PS3.18 §10.4): as stored, or transcoded by workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from gantry.dicom import forms
from gantry.dicom.bulk import BulkPath, Encapsulated, find_bulk, parse_bulk_path
from gantry.dicom.video import Video
from gantry.errors import NotAcceptable, NotFound
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import FoundInstance
from gantry.seams import OpenedObject, Seams
from gantry.studies.pixel_work import frames_of_blob, in_order, made_of, submit, transcode_blob

ANY = "*"
PIXEL_DATA: BulkPath = (0x7FE00010,)
_AHEAD = 256 << 20

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

    begins: FoundInstance | None
    data: bytes


class Value(NamedTuple):
    """Bytes to be given: ``size`` bytes of an open blob from ``start`` on, or a video in it, or ``data``.

    Whoever has it closes it.
    """

    blob: OpenedObject | None
    start: int
    size: int
    data: bytes = b""
    video: Video | None = None

    @classmethod
    def of(cls, data: bytes) -> Value:
        return cls(None, 0, len(data), data)

    def read(self, start: int, length: int) -> bytes:
        """At most ``length`` bytes from ``start`` of the value."""
        length = min(length, self.size - start)
        if self.video is not None:
            return self.video.read_at(start, length)
        return self.data[start : start + length] if self.blob is None else self.blob.read_at(self.start + start, length)

    def close(self) -> None:
        if self.blob is not None:
            self.blob.__exit__(None, None, None)


def instance(seams: Seams, store: DicomStoreName, row: FoundInstance, syntax: str, explicit: bool) -> Value:
    """One instance in a transfer syntax, as ``instances`` gives it."""
    if syntax in (ANY, row.transfer_syntax_uid):
        return _opened(seams, store, row, 0, None)
    _require_transcodable(seams, store, ResourcePath(*row.uids), syntax, explicit)
    return Value.of(made_of(seams, store, row, transcode_blob, transfer_syntax_uid=syntax))


def _opened(seams: Seams, store: DicomStoreName, row: FoundInstance, start: int, size: int | None) -> Value:
    blob = open_blob(seams, store, row)
    if blob is None:
        raise NotFound(f"instance {row.sop_instance_uid} was deleted just now")
    return Value(blob, start, blob.size if size is None else size)


def instances(seams: Seams, store: DicomStoreName, path: ResourcePath, syntax: str, explicit: bool) -> Iterator[Piece]:
    """All instances of a path in a transfer syntax, ``*`` for as they are stored.

    Nothing is answered unless every instance can be had in that syntax: NotAcceptable says which one cannot.
    ``explicit``: the syntax was asked for by the client. Raises NotFound.
    """
    rows = seams.index.found_below(store, path)
    if syntax == ANY:
        return _stored(seams, store, rows)
    _require_transcodable(seams, store, path, syntax, explicit)
    return _transcoded(seams, store, rows, syntax)


def _require_transcodable(seams: Seams, store: DicomStoreName, path: ResourcePath, syntax: str, explicit: bool) -> None:
    for stored in seams.index.transfer_syntaxes_below(store, path):
        if stored not in forms.DECODABLE and stored != syntax:
            asked = f"transfer syntax {syntax}" + ("" if explicit else ", which is meant where none is named")
            raise NotAcceptable(
                f"an instance of {path} is stored in transfer syntax {stored}, which cannot be transcoded to {asked}; "
                "ask for transfer-syntax=*"
            )


def _stored(seams: Seams, store: DicomStoreName, rows: Iterator[FoundInstance]) -> Iterator[Piece]:
    for row in rows:
        begins: FoundInstance | None = row
        blob = open_blob(seams, store, row)
        if blob is None:
            continue
        with blob:
            for chunk in blob.chunks():
                yield Piece(begins, chunk)
                begins = None


def open_blob(seams: Seams, store: DicomStoreName, row: FoundInstance) -> OpenedObject | None:
    """Where the bytes are now; None for an instance that was deleted meanwhile."""
    try:
        return seams.blobs.open(row.blob_key)
    except NotFound:
        try:
            moved = next(seams.index.found_below(store, ResourcePath(*row.uids)))
        except NotFound:
            return None
        return seams.blobs.open(moved.blob_key)


def _transcoded(seams: Seams, store: DicomStoreName, rows: Iterator[FoundInstance], syntax: str) -> Iterator[Piece]:
    first = next(rows, None)
    if first is None:
        return
    second = next(rows, None)
    if second is None:
        yield from _one(seams, store, first, syntax)
        return
    yield from _many(seams, store, chain((first, second), rows), syntax)


def _one(seams: Seams, store: DicomStoreName, row: FoundInstance, syntax: str) -> Iterator[Piece]:
    if row.transfer_syntax_uid == syntax:
        yield from _stored(seams, store, iter((row,)))
    else:
        yield Piece(row, made_of(seams, store, row, transcode_blob, transfer_syntax_uid=syntax))


def _many(seams: Seams, store: DicomStoreName, rows: Iterator[FoundInstance], syntax: str) -> Iterator[Piece]:
    """Runs of instances that need no work are sent as they are; the others are worked on a few ahead."""
    waiting: list[FoundInstance] = []

    def work() -> Iterator[Piece]:
        calls = (partial(submit, seams, row, transcode_blob, transfer_syntax_uid=syntax) for row in waiting)
        for row, data in zip(list(waiting), in_order(calls, _window(seams, waiting)), strict=True):
            yield Piece(row, data)
        waiting.clear()

    for row in rows:
        if row.transfer_syntax_uid != syntax:
            waiting.append(row)
            if len(waiting) < 64:
                continue
        yield from work()
        if row.transfer_syntax_uid == syntax:
            yield from _stored(seams, store, iter((row,)))
    yield from work()


def _window(seams: Seams, rows: Sequence[FoundInstance]) -> int:
    """How many may be worked on at a time, so that those that wait for their turn stay within memory."""
    return max(1, min(seams.window, _AHEAD // max(1, *(row.size for row in rows)))) if rows else 1


# --- bulk data


def video_type(seams: Seams, store: DicomStoreName, row: FoundInstance) -> str:
    """The media type of what is stored as a video. Raises StatusError for one that cannot be read."""
    value = bulk(seams, store, row, PIXEL_DATA)
    value.close()
    return value.video.media_type if value.video else forms.OCTETS


def bulk(seams: Seams, store: DicomStoreName, row: FoundInstance, path: BulkPath) -> Value:
    """The value of an element, little endian; of encapsulated pixel data the stream if it is a video, else the decoded
    frames, one after the other.

    Raises NotFound where there is none.
    """
    value = _opened(seams, store, row, 0, None)
    assert value.blob is not None  # noqa: S101
    try:
        found = find_bulk(value.blob, path)
        if isinstance(found, Encapsulated) and len(path) == 1 and forms.video_types(row.transfer_syntax_uid):
            made = Video(value.blob, found.start, found.end, row.transfer_syntax_uid)
            return value._replace(size=made.size, video=made)
    except BaseException:
        value.close()
        raise
    if isinstance(found, Encapsulated):
        value.close()
        decoded = made_of(
            seams, store, row, frames_of_blob, transfer_syntax_uid=forms.EXPLICIT_LE, wanted=None, path=found.path
        )
        return Value.of(b"".join(decoded))
    if isinstance(found, bytes):
        value.close()
        return Value.of(found)
    return value._replace(start=found[0], size=found[1])
