"""WADO-RS of whole instances and bulk data (PS3.18 §10.4): as stored, or transcoded by workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from functools import cache, partial
from typing import NamedTuple

from gantry.containment import contain
from gantry.dicom import forms
from gantry.dicom.buffers import Sliceable
from gantry.dicom.bulk import BulkPath, Encapsulated, find_bulk, parse_bulk_path
from gantry.dicom.open_source import count_frames
from gantry.dicom.video import Video
from gantry.errors import (
    CrashingPixels,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    NotAcceptable,
    NotFound,
    Replaced,
    StatusError,
)
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance, Uids
from gantry.seams import OpenedObject, Seams
from gantry.stored_bytes import make_lost, open_stored
from gantry.studies.decoded_frames import DecodedFrames
from gantry.studies.headers import name_instance
from gantry.studies.holding_back import make_first, send_held
from gantry.studies.looking_up import find_now, find_same
from gantry.studies.pixel_work import decode_blob, finish, run_pixel_work, submit, submit_in_order, transcode_blob
from gantry.worker_calls import read_window

logger = logging.getLogger(__name__)

ANY = "*"
PIXEL_DATA: BulkPath = (0x7FE00010,)
_AHEAD = 256 << 20  # bytes of instances that are transcoded at a time
_MOST_WAITING = 64  # instances collected for transcoding before the first of them is sent
HELD_BACK = 16 << 20
"""Bytes that are made before the first one is sent: until then an error can still set the status of the response."""

_OF_FORM_OR_PIXELS = (FailedPrecondition, InvalidArgument)
"""Errors of an instance that cannot be sent in the form that is asked for, and that can be sent as it is stored."""

_LOOKS = 3
"""How often an instance whose blob was moved meanwhile is looked up."""

__all__ = [
    "ANY",
    "PIXEL_DATA",
    "Piece",
    "Plan",
    "Sent",
    "Value",
    "describe_bulk",
    "keep_stored",
    "open_blob",
    "parse_bulk_path",
    "read_alone",
    "read_bulk",
    "read_instance",
    "read_instances",
    "read_video_type",
]


class Piece(NamedTuple):
    """Some bytes of an instance; where they are its first ones, ``begins`` is the instance and ``syntax`` the transfer
    syntax in which it is sent, else None and ""."""

    begins: StoredInstance | None
    data: bytes
    syntax: str = ""


Plan = Callable[[str], Sequence[str]]
"""Stored transfer syntax → those in which its instances may be sent, the preferred first; none to leave them out."""


def keep_stored(stored: str) -> Sequence[str]:
    """The plan that sends each instance as it is stored."""
    return (stored,)


class Sent(NamedTuple):
    """The pieces of instances, to be read once, and why some instances are ``left_out``: there is no form of them that
    the client accepts."""

    pieces: Iterator[Piece]
    left_out: Sequence[StatusError] = ()


class Value(NamedTuple):
    """Bytes to send: all of an open blob, or a ``value`` or a video, which may be ``is_in_blob``, or ``data``.

    The caller must close it.
    """

    blob: OpenedObject | None
    size: int
    data: bytes = b""
    value: Sliceable | None = None
    video: Video | None = None
    is_in_blob: bool = False

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


def read_instance(seams: Seams, store: DicomStoreName, row: StoredInstance, syntax: str) -> Value:
    """One instance in a transfer syntax, ``*`` for the stored one. Raises NotAcceptable where it cannot be made."""
    if syntax in (ANY, row.transfer_syntax_uid):
        return _open(seams, store, row)
    if row.transfer_syntax_uid not in forms.DECODABLE:
        raise name_instance(row, _refuse_syntax(row.transfer_syntax_uid))
    try:
        return Value.of(run_pixel_work(seams, store, row, transcode_blob, transfer_syntax_uid=syntax))
    except StatusError as error:
        raise name_instance(row, explain_transcoding(error)) from None


def _open(seams: Seams, store: DicomStoreName, row: StoredInstance) -> Value:
    blob = open_blob(seams, store, row)
    if blob is None:
        raise NotFound(f"instance {row.sop_instance_uid} was deleted just now")
    return Value(blob, blob.size)


def read_instances(seams: Seams, store: DicomStoreName, path: ResourcePath, plan: Plan) -> Sent:
    """All instances of a path, each in the first transfer syntax of its plan that can be made.

    Raises NotFound; NotAcceptable, before anything is sent, where no instance has a form that the client accepts. The
    error of one instance is raised with its UID after the pieces of the others, or at once if it occurs while the first
    HELD_BACK bytes are made; an instance that cannot be transcoded is ``left_out`` then.
    """
    rows = seams.index.instances.list_below(store, path)
    sending = _Sender(seams, store, plan)
    if plan is keep_stored:
        return Sent(sending.send(rows))
    without = {uid for uid in seams.index.instances.list_transfer_syntaxes(store, path) if not sending.plan(uid)}
    if without:  # said before the first byte, wherever these instances are among the others
        sending.leave_out(seams.index.instances.list_below(store, path), without)
        rows = (row for row in rows if row.transfer_syntax_uid not in without)
    return _hold_back(sending, sending.send(rows))


def read_alone(seams: Seams, store: DicomStoreName, row: StoredInstance, plan: Plan) -> Sent:
    """One instance, as ``read_instances`` sends it; raises its error at once unless it is sent as it is stored."""
    sending = _Sender(seams, store, plan)
    pieces = sending.send(iter([row]))
    return Sent(pieces) if plan is keep_stored else _hold_back(sending, pieces)


def _hold_back(sending: _Sender, pieces: Generator[Piece, None, None]) -> Sent:
    """Make the first bytes; raises what keeps every instance from being sent."""
    held = make_first(pieces, HELD_BACK)
    if sending.failure is not None:
        raise sending.failure
    if sending.left_out and not held:
        raise sending.left_out[0]
    sending.has_begun = True
    return Sent(send_held(held, pieces), tuple(sending.left_out))


def _refuse_syntax(stored: str) -> NotAcceptable:
    return NotAcceptable(
        f"it is stored in transfer syntax {stored}, which cannot be transcoded to what Accept asks for, nor to the "
        "default; ask for transfer-syntax=*"
    )


def open_blob(seams: Seams, store: DicomStoreName, row: StoredInstance) -> OpenedObject | None:
    """Open the blob of an instance; None if the instance was deleted. Raises DataLoss where only its blob is gone, or
    is not what its row says, and Replaced where the instance is another one now."""
    for _ in range(_LOOKS):
        try:
            return open_stored(seams.blobs, row.blob_key, row.size)
        except NotFound:
            before = row
        try:
            row = find_same(seams, store, row)
        except NotFound:
            return None
        if row.blob_key == before.blob_key:
            break
    raise make_lost(row.sop_instance_uid)


class _Sender:
    """Sends one answer: instances as they are stored, or transcoded by workers, a few at a time.

    ``left_out``: instances for which no acceptable form could be made before ``has_begun``, the first byte.
    """

    def __init__(self, seams: Seams, store: DicomStoreName, plan: Plan) -> None:
        self.seams, self.store, self.plan = seams, store, cache(plan)
        self.failure: StatusError | None = None
        self.left_out: list[StatusError] = []
        self.has_begun = False
        self._anew: set[Uids] = set()

    def send(self, rows: Iterator[StoredInstance]) -> Generator[Piece, None, None]:
        yield from self._send_all(rows)
        if self.failure is not None:
            raise self.failure

    def leave_out(self, rows: Iterator[StoredInstance], without: Container[str]) -> None:
        """Record the instances with a transfer syntax for which the plan has no form."""
        for row in rows:
            if row.transfer_syntax_uid in without:
                self._fail(row, _refuse_syntax(row.transfer_syntax_uid))

    def _send_all(self, rows: Iterable[StoredInstance]) -> Iterator[Piece]:
        waiting: list[StoredInstance] = []
        for row in rows:
            syntaxes = self.plan(row.transfer_syntax_uid)
            if not syntaxes:
                self._fail(row, _refuse_syntax(row.transfer_syntax_uid))
                continue
            is_as_stored = syntaxes[0] == row.transfer_syntax_uid
            if not is_as_stored:
                waiting.append(row)
                if len(waiting) < _MOST_WAITING:
                    continue
            yield from self._send_transcoded(waiting)
            waiting.clear()
            if is_as_stored:
                yield from self._send_stored(row)
        yield from self._send_transcoded(waiting)

    def _send_anew(self, row: StoredInstance, error: Replaced) -> Iterator[Piece]:
        """Send an instance that was replaced after its row was read, in the form that the plan has for it now. Once:
        one that is replaced again and again would never be sent."""
        if row.uids in self._anew:
            self._fail(row, error)
            return
        self._anew.add(row.uids)
        try:
            now = find_now(self.seams, self.store, row)
        except NotFound:
            return  # deleted meanwhile
        yield from self._send_all([now])

    def _send_stored(self, row: StoredInstance) -> Iterator[Piece]:
        """Send a stored instance. An error in its middle ends the answer: other bytes would seem to belong to it."""
        try:
            blob = open_blob(self.seams, self.store, row)
        except Replaced as error:
            yield from self._send_anew(row, error)
            return
        except StatusError as error:
            self._fail(row, error)
            return
        begins: StoredInstance | None = row
        try:
            with blob or nullcontext():
                for chunk in blob.chunks() if blob else ():
                    yield Piece(begins, chunk, begins.transfer_syntax_uid if begins else "")
                    begins = None
        except StatusError as error:
            if begins is None:
                raise name_instance(row, error) from None
            self._fail(row, error)

    def _send_transcoded(self, rows: Sequence[StoredInstance]) -> Iterator[Piece]:
        wanted = [self.plan(row.transfer_syntax_uid)[0] for row in rows]
        calls = (
            partial(submit, self.seams, row, transcode_blob, transfer_syntax_uid=syntax)
            for row, syntax in zip(rows, wanted, strict=True)
        )
        futures = submit_in_order(calls, _choose_window(self.seams, rows))
        with closing(futures):
            for row, syntax, future in zip(rows, wanted, futures, strict=True):
                try:
                    data = finish(self.seams, self.store, row, future, transcode_blob, transfer_syntax_uid=syntax)
                except NotFound:
                    continue  # deleted meanwhile
                except Replaced as error:
                    yield from self._send_anew(row, error)
                    continue
                except StatusError as error:
                    yield from self._send_other(row, explain_transcoding(error))
                    continue
                yield Piece(row, data, syntax)

    def _send_other(self, row: StoredInstance, error: StatusError) -> Iterator[Piece]:
        """Send an instance in the next form of its plan, where ``error`` says that the first one cannot be made."""
        latest = error
        for syntax in self.plan(row.transfer_syntax_uid)[1:]:
            if syntax == row.transfer_syntax_uid and isinstance(latest, _OF_FORM_OR_PIXELS):
                yield from self._send_stored(row)
                return
            if not isinstance(latest, NotAcceptable):
                continue  # its pixels are at fault, so that no other form can be made of them
            try:
                data = run_pixel_work(self.seams, self.store, row, transcode_blob, transfer_syntax_uid=syntax)
            except NotFound:
                return  # deleted meanwhile
            except Replaced as replaced:
                yield from self._send_anew(row, replaced)
                return
            except StatusError as other:
                latest = explain_transcoding(other)
            else:
                yield Piece(row, data, syntax)
                return
        self._fail(row, error if isinstance(latest, _OF_FORM_OR_PIXELS) else latest)

    def _fail(self, row: StoredInstance, error: StatusError) -> None:
        if isinstance(error, Interrupted):
            raise error
        failure = name_instance(row, error)
        logger.warning("%s is left out of an answer: %s", ResourcePath(*row.uids), failure.message)
        if isinstance(failure, _OF_FORM_OR_PIXELS) and not self.has_begun:
            self.left_out.append(failure)
        else:
            self.failure = self.failure or failure


def explain_transcoding(error: StatusError) -> StatusError:
    """The error of an instance that cannot be transcoded, with what to do about it where there is another way. It is
    406 where its form is at fault, as the request itself is valid (PS3.18 §8.7.8, RFC 9110 §15.5.7); what is damaged
    has the status that its frames have."""
    if not isinstance(error, FailedPrecondition | InvalidArgument):
        return error
    is_damaged = isinstance(error, InvalidArgument | CrashingPixels)
    kind = type(error) if is_damaged else NotAcceptable
    return kind(f"{error.message}; ask for transfer-syntax=*", error.details, kind=error.kind)


def _choose_window(seams: Seams, rows: Sequence[StoredInstance]) -> int:
    """How many instances may be transcoded at a time, so that they take at most _AHEAD bytes of memory."""
    return max(1, min(read_window(seams.window), _AHEAD // max(1, *(row.size for row in rows)))) if rows else 1


# --- bulk data


def read_video_type(seams: Seams, store: DicomStoreName, row: StoredInstance) -> str:
    """The media type of a stored video. Raises StatusError for one that cannot be read."""
    value = read_bulk(seams, store, row, PIXEL_DATA)
    value.close()
    return value.video.media_type if value.video else forms.OCTETS


def read_bulk(seams: Seams, store: DicomStoreName, row: StoredInstance, path: BulkPath) -> Value:
    """The value of an element, little endian. Raises NotFound where there is none.

    Of encapsulated pixel data: the stream if it is a video, else the decoded frames, one after the other.
    """
    whole = _open(seams, store, row)
    assert whole.blob is not None  # noqa: S101
    try:
        with contain(str(ResourcePath(*row.uids)), "while its bulk data were located"):
            found = find_bulk(whole.blob, path)
        value = describe_bulk(seams, store, row, whole.blob, path, found)
    except BaseException:
        whole.close()
        raise
    if value.is_in_blob:
        return value._replace(blob=whole.blob)
    whole.close()
    return value


def describe_bulk(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    opened: OpenedObject,
    path: BulkPath,
    found: Sliceable | bytes | Encapsulated,
) -> Value:
    """What was found at a path of an opened instance, as a value. The caller must keep it open as long as the value."""
    if isinstance(found, bytes):
        return Value.of(found)
    if not isinstance(found, Encapsulated):
        return Value(None, len(found), value=found, is_in_blob=True)
    if len(path) > 1:
        decoded = run_pixel_work(
            seams, store, row, decode_blob, transfer_syntax_uid=forms.EXPLICIT_LE, wanted=None, path=found.path
        )
        return Value.of(b"".join(decoded))
    with contain(str(ResourcePath(*row.uids)), "while its frames were located"):
        if forms.video_types(row.transfer_syntax_uid):
            video = Video(opened, found.start, found.end, row.transfer_syntax_uid)
            return Value(None, video.size, video=video, is_in_blob=True)
        count = count_frames(opened)
    frames = DecodedFrames(seams, store, row, count)
    return Value(None, len(frames), value=frames)
