"""Pixels of single instances, made in workers: what a request needs now, beside the batches of operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from gantry.containment import contain
from gantry.dicom.bulk import BulkPath
from gantry.dicom.forms import DICOM, Form
from gantry.dicom.open_source import count_frames
from gantry.dicom.views import View, frame_bitstreams, rendered
from gantry.errors import Aborted, Cancelled, DataLoss, DeadlineExceeded, FailedPrecondition, NotFound, Unavailable
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import BlobStore, CallEnded, Seams, WorkerDied, WorkerTimedOut, beat, end_calls, result_of
from gantry.studies.departure import require_client

FRAME_SECONDS = 60
INSTANCE_SECONDS = 600
BEAT_SECONDS = 1
LEFT_SECONDS = 2
"""What work that has begun gets once its client has gone: viewers drop requests while somebody scrolls, and ending a
worker for each of them would take longer than most frames."""
_STOPS = "the server is stopping; ask again once it runs"
_LOOKS = 3  # at where the bytes of an instance have just been moved
WORTH_A_CALL = 16 << 20
"""Bytes of frames or pictures that one call of a worker gives; with fewer, opening the instance again would be felt."""

Made = TypeVar("Made")


def transcode_blob(blob_key: str, *, blobs: BlobStore, transfer_syntax_uid: str) -> bytes:
    """The instance in another transfer syntax."""
    from gantry.dicom.representations import represent

    return _watched(blob_key, blobs, lambda opened, watch: represent(opened, Form(DICOM, transfer_syntax_uid), watch))[
        0
    ].data


def render_blob(
    blob_key: str, *, blobs: BlobStore, view: View, wanted: Sequence[int] | None, most: int = 0
) -> list[bytes]:
    """No more pictures once ``most`` bytes are made, 0 for all."""
    return _watched(blob_key, blobs, lambda opened, watch: _first(rendered(opened, view, wanted, watch), most))


def count_frames_of_blob(blob_key: str, *, blobs: BlobStore) -> int:
    def count(opened: Any, watch: Callable[[], None]) -> Iterator[int]:
        watch()
        yield count_frames(opened)

    return _watched(blob_key, blobs, count)[0]


def frames_of_blob(
    blob_key: str,
    *,
    blobs: BlobStore,
    transfer_syntax_uid: str,
    wanted: Sequence[int] | None,
    path: BulkPath = (),
    most: int = 0,
) -> list[bytes]:
    """Those of an icon, where ``path`` leads to its Pixel Data. No more once ``most`` bytes are made, 0 for all."""

    def make(opened: Any, watch: Callable[[], None]) -> Iterator[bytes]:
        return _first(frame_bitstreams(opened, transfer_syntax_uid, wanted, watch, path), most)

    return _watched(blob_key, blobs, make)


def _first(frames: Iterator[bytes], most: int) -> Iterator[bytes]:
    """At least one, and then as long as less than ``most`` bytes were given."""
    size = 0
    for frame in frames:
        yield frame
        size += len(frame)
        if most and size >= most:
            return


def _watched(blob_key: str, blobs: BlobStore, make: Callable[[Any, Callable[[], None]], Iterable[Made]]) -> list[Made]:
    """A frame gets FRAME_SECONDS, the instance no more than its time. Somebody waits, so beats are few."""
    begun, last = time.monotonic(), float(-BEAT_SECONDS)

    def next_frame() -> None:
        nonlocal last
        now = time.monotonic()
        if now > begun + INSTANCE_SECONDS:
            raise DeadlineExceeded(f"takes longer than {INSTANCE_SECONDS} seconds")
        if now > last + BEAT_SECONDS:
            last = now
            beat(FRAME_SECONDS)

    with contain(blob_key, "while its pixels were read"), blobs.open(blob_key) as opened:
        return list(make(opened, next_frame))


def in_runs(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    function: Callable[..., list[bytes]],
    wanted: Sequence[int] | None,
    **options: Any,
) -> Generator[bytes, None, None]:
    """What ``render_blob`` or ``frames_of_blob`` gives for each frame, by numbers from 0, or for all of them.

    Each call of a worker gets all numbers that are left, and makes as many as are worth it; no more are held. Raises
    StatusError alone.
    """
    goes_on = False
    while wanted is None or wanted:
        made = made_of(seams, store, row, function, goes_on=goes_on, wanted=wanted, most=WORTH_A_CALL, **options)
        if not made:
            raise DataLoss(f"no frame of instance {row.sop_instance_uid} can be read")
        if wanted is None:
            wanted = range(len(made) if sum(map(len, made)) < WORTH_A_CALL else _count_frames(seams, store, row))
        wanted, goes_on = wanted[len(made) :], True
        made.reverse()
        while made:  # let go as they are sent
            yield made.pop()


def _count_frames(seams: Seams, store: DicomStoreName, row: StoredInstance) -> int:
    return made_of(seams, store, row, count_frames_of_blob, goes_on=True)


def made_of(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    function: Callable[..., Made],
    *,
    goes_on: bool = False,
    **options: Any,
) -> Made:
    """Call a function above for one instance, wherever its bytes are by then.

    ``goes_on``: the answer has begun, so bytes that have been replaced meanwhile would be mixed with those before.
    Raises StatusError alone.
    """
    future = submit(seams, row, function, **options)
    return finished(seams, store, row, future, function, goes_on=goes_on, **options)


def finished(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    future: Future[Made],
    function: Callable[..., Made],
    *,
    goes_on: bool = False,
    **options: Any,
) -> Made:
    """What ``submit`` was asked for; again, where the bytes have been moved meanwhile. Raises StatusError alone, for an
    instance that was deleted meanwhile NotFound, for one that was replaced while an answer ``goes_on`` Aborted, and
    DataLoss where only its bytes are gone."""
    for _ in range(_LOOKS):
        try:
            return result(future)
        except NotFound:
            moved = next(seams.index.instances.list_below(store, ResourcePath(*row.uids)))
        if moved.blob_key == row.blob_key:
            break
        if goes_on and _content(moved) != _content(row):
            raise Aborted(f"instance {row.sop_instance_uid} was replaced while it was sent; send the request again")
        row, future = moved, submit(seams, moved, function, **options)
    raise DataLoss(f"the file of instance {row.sop_instance_uid} is gone")


def _content(row: StoredInstance) -> tuple[object, ...]:
    """What stays when the bytes are moved to another place, and does not when others take their place."""
    return row.size, row.transfer_syntax_uid, row.pack_id, row.pack_number


def submit(seams: Seams, row: StoredInstance, function: Callable[..., Made], **options: Any) -> Future[Made]:
    """Raises Cancelled where the client has gone, and Unavailable while the server stops."""
    require_client()
    try:
        return seams.pixels.submit(function, row.blob_key, blobs=seams.blobs, **options)
    except RuntimeError:  # what an executor raises that takes no more calls
        raise Unavailable(_STOPS) from None


def result(future: Future[Made]) -> Made:
    """What ``submit`` began. Where the client goes meanwhile it is cancelled, or ended if it lasts."""
    try:
        return result_of(future, require_client)
    except Cancelled:
        end_calls([future], LEFT_SECONDS)
        raise
    except (CancelledError, CallEnded):
        raise Unavailable(_STOPS) from None
    except WorkerTimedOut:
        raise DeadlineExceeded(f"a frame takes longer than {FRAME_SECONDS} seconds; its data may be damaged") from None
    except WorkerDied:
        raise FailedPrecondition("the worker process died while it decoded this instance; it may be damaged") from None


def in_order(calls: Iterator[Callable[[], Future[Made]]], window: int) -> Generator[Future[Made], None, None]:
    """Futures in the order of the calls, for ``result``; at most ``window`` of them under way."""
    under_way: list[Future[Made]] = []
    try:
        for call in calls:
            under_way.append(call())
            if len(under_way) >= window:
                yield under_way.pop(0)
        while under_way:
            yield under_way.pop(0)
    finally:
        for future in under_way:
            future.cancel()
