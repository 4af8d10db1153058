"""Pixels of single instances, made in workers: what a request needs now, beside the batches of operations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from gantry.containment import contain
from gantry.dicom.bulk import BulkPath
from gantry.dicom.forms import DICOM, Form
from gantry.dicom.views import View, frame_bitstreams, rendered
from gantry.errors import Cancelled, DataLoss, DeadlineExceeded, FailedPrecondition, NotFound, Unavailable
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import BlobStore, CallEnded, Seams, WorkerDied, WorkerTimedOut, beat, end_calls
from gantry.studies.departure import on_leave, require_client

FRAME_SECONDS = 60
INSTANCE_SECONDS = 600
BEAT_SECONDS = 1
LEFT_SECONDS = 2
"""What work that has begun gets once its client has gone: viewers drop requests while somebody scrolls, and ending a
worker for each of them would take longer than most frames."""
_STOPS = "the server is stopping; ask again once it runs"
_LOOKS = 3  # at where the bytes of an instance have just been moved
Made = TypeVar("Made")


def transcode_blob(blob_key: str, *, blobs: BlobStore, transfer_syntax_uid: str) -> bytes:
    """The instance in another transfer syntax."""
    from gantry.dicom.representations import represent

    return _watched(blob_key, blobs, lambda opened, watch: represent(opened, Form(DICOM, transfer_syntax_uid), watch))[
        0
    ].data


def render_blob(blob_key: str, *, blobs: BlobStore, view: View, wanted: Sequence[int] | None) -> list[bytes]:
    return _watched(blob_key, blobs, lambda opened, watch: rendered(opened, view, wanted, watch))


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


def made_of(
    seams: Seams, store: DicomStoreName, row: StoredInstance, function: Callable[..., Made], **options: Any
) -> Made:
    """Call a function above for one instance, wherever its bytes are by then. Raises StatusError alone."""
    return finished(seams, store, row, submit(seams, row, function, **options), function, **options)


def finished(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    future: Future[Made],
    function: Callable[..., Made],
    **options: Any,
) -> Made:
    """What ``submit`` was asked for; again, where the bytes have been moved meanwhile. Raises StatusError alone, for an
    instance that was deleted meanwhile NotFound, and DataLoss where only its bytes are gone."""
    for _ in range(_LOOKS):
        try:
            return result(future)
        except NotFound:
            moved = next(seams.index.instances.list_below(store, ResourcePath(*row.uids)))
        if moved.blob_key == row.blob_key:
            break
        row, future = moved, submit(seams, moved, function, **options)
    raise DataLoss(f"the file of instance {row.sop_instance_uid} is gone")


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
        _wait(future)
        return future.result()
    except Cancelled:
        end_calls([future], LEFT_SECONDS)
        raise
    except (CancelledError, CallEnded):
        raise Unavailable(_STOPS) from None
    except WorkerTimedOut:
        raise DeadlineExceeded(f"a frame takes longer than {FRAME_SECONDS} seconds; its data may be damaged") from None
    except WorkerDied:
        raise FailedPrecondition("the worker process died while it decoded this instance; it may be damaged") from None


def _wait(future: Future[Any]) -> None:
    """Raises Cancelled as soon as the client goes: its place is for the next one."""
    woken = threading.Event()
    future.add_done_callback(lambda _: woken.set())
    with on_leave(woken.set):
        woken.wait()
    if not future.done():
        require_client()


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
