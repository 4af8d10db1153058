"""Pixel work for requests, one instance per call, in workers that operations do not use.

The functions that run in workers get the key and the ``size`` of the bytes of an instance.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from gantry.beats import beat
from gantry.containment import contain
from gantry.dicom.bulk import BulkPath
from gantry.dicom.forms import DICOM, Form
from gantry.dicom.open_source import count_frames
from gantry.dicom.views import View, frame_bitstreams, rendered
from gantry.errors import Cancelled, CrashingPixels, DataLoss, DeadlineExceeded, NotFound, Unavailable
from gantry.names import DicomStoreName
from gantry.resources import StoredInstance
from gantry.seams import BlobStore, Seams
from gantry.stored_bytes import make_lost, open_stored
from gantry.studies.departure import on_leave, require_client
from gantry.studies.looking_up import find_same
from gantry.worker_calls import (
    CallEnded,
    WorkerDied,
    WorkerTimedOut,
    end_calls,
)

FRAME_SECONDS = 60  # far more than the largest frame takes; damaged data can keep a codec busy for ever
INSTANCE_SECONDS = 600  # clients do not wait longer
BEAT_SECONDS = 1  # between two beats, since each is a message to the server
LEFT_SECONDS = 2
"""Time for running work once its client has disconnected: viewers drop requests while the user scrolls, and starting
a new worker takes longer than most frames."""
_STOPS = "the server is stopping; ask again once it runs"
_LOOKS = 3  # at where the bytes of an instance have just been moved
WORTH_A_CALL = 16 << 20
"""Bytes of frames or images per call of a worker: with less, opening the instance again takes too long."""

Out = TypeVar("Out")


def transcode_blob(blob_key: str, *, blobs: BlobStore, size: int, transfer_syntax_uid: str) -> bytes:
    """The instance in another transfer syntax."""
    from gantry.dicom.representations import represent

    return _run_watched(
        blob_key, blobs, size, lambda opened, watch: represent(opened, Form(DICOM, transfer_syntax_uid), watch)
    )[0].data


def render_blob(
    blob_key: str, *, blobs: BlobStore, size: int, view: View, wanted: Sequence[int] | None, most: int = 0
) -> list[bytes]:
    """Images of frames; stops once they have ``most`` bytes, 0 for no limit."""

    def make(opened: Any, watch: Callable[[], None]) -> Iterator[bytes]:
        return _take_until(rendered(opened, view, wanted, watch), most)

    return _run_watched(blob_key, blobs, size, make)


def count_blob_frames(blob_key: str, *, blobs: BlobStore, size: int) -> int:
    def count(opened: Any, watch: Callable[[], None]) -> Iterator[int]:
        watch()
        yield count_frames(opened)

    return _run_watched(blob_key, blobs, size, count)[0]


def decode_blob(
    blob_key: str,
    *,
    blobs: BlobStore,
    size: int,
    transfer_syntax_uid: str,
    wanted: Sequence[int] | None,
    path: BulkPath = (),
    most: int = 0,
) -> list[bytes]:
    """Frames as bitstreams; those of an icon where ``path`` leads to its Pixel Data.

    Stops once ``most`` bytes are decoded, 0 for no limit.
    """

    def make(opened: Any, watch: Callable[[], None]) -> Iterator[bytes]:
        return _take_until(frame_bitstreams(opened, transfer_syntax_uid, wanted, watch, path), most)

    return _run_watched(blob_key, blobs, size, make)


def _take_until(frames: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Yield frames until they have ``most`` bytes or more; at least one."""
    size = 0
    for frame in frames:
        yield frame
        size += len(frame)
        if most and size >= most:
            return


def _run_watched(
    blob_key: str, blobs: BlobStore, size: int, make: Callable[[Any, Callable[[], None]], Iterable[Out]]
) -> list[Out]:
    """Run ``make`` with a limit of FRAME_SECONDS for each frame and INSTANCE_SECONDS for all of them."""
    begun, last = time.monotonic(), float(-BEAT_SECONDS)

    def next_frame() -> None:
        nonlocal last
        now = time.monotonic()
        if now > begun + INSTANCE_SECONDS:
            raise DeadlineExceeded(f"takes longer than {INSTANCE_SECONDS} seconds")
        if now > last + BEAT_SECONDS:
            last = now
            beat(FRAME_SECONDS)

    with contain(blob_key, "while its pixels were read"), open_stored(blobs, blob_key, size) as opened:
        return list(make(opened, next_frame))


def stream_frames(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    function: Callable[..., list[bytes]],
    wanted: Sequence[int] | None,
    **options: Any,
) -> Generator[bytes, None, None]:
    """The results of ``render_blob`` or ``decode_blob`` for each frame: by numbers from 0, or for all of them.

    They are made in several worker calls, each up to WORTH_A_CALL bytes; no more are in memory. Raises only
    StatusError.
    """
    while wanted is None or wanted:
        made = run_pixel_work(seams, store, row, function, wanted=wanted, most=WORTH_A_CALL, **options)
        if not made:
            raise DataLoss(f"no frame of instance {row.sop_instance_uid} can be read")
        if wanted is None:
            wanted = range(len(made) if sum(map(len, made)) < WORTH_A_CALL else _count_frames(seams, store, row))
        wanted = wanted[len(made) :]
        made.reverse()
        while made:  # frees each frame once it is sent
            yield made.pop()


def _count_frames(seams: Seams, store: DicomStoreName, row: StoredInstance) -> int:
    return run_pixel_work(seams, store, row, count_blob_frames)


def run_pixel_work(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    function: Callable[..., Out],
    **options: Any,
) -> Out:
    """Run one of the functions above in a worker for one instance. Raises what ``finish`` raises."""
    future = submit(seams, row, function, **options)
    return finish(seams, store, row, future, function, **options)


def finish(
    seams: Seams,
    store: DicomStoreName,
    row: StoredInstance,
    future: Future[Out],
    function: Callable[..., Out],
    **options: Any,
) -> Out:
    """The result of a call of ``submit``, which is repeated where the blob was moved meanwhile.

    Raises only StatusError: NotFound where the instance was deleted meanwhile, DataLoss where only its blob is
    gone, Replaced where it is another one now.
    """
    for _ in range(_LOOKS):
        try:
            return wait_for_pixels(future)
        except NotFound:
            moved = find_same(seams, store, row)
        if moved.blob_key == row.blob_key:
            break
        row, future = moved, submit(seams, moved, function, **options)
    raise make_lost(row.sop_instance_uid)


def submit(seams: Seams, row: StoredInstance, function: Callable[..., Out], **options: Any) -> Future[Out]:
    """Start a call. Raises Cancelled where the client has disconnected, and Unavailable while the server stops."""
    require_client()
    try:
        return seams.pixels.submit(function, row.blob_key, blobs=seams.blobs, size=row.size, **options)
    except RuntimeError:  # raised by an executor that is shut down
        raise Unavailable(_STOPS) from None


def wait_for_pixels(future: Future[Out]) -> Out:
    """The result of a call. If the client disconnects meanwhile, the call is cancelled, or ended after LEFT_SECONDS."""
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
        raise CrashingPixels("the worker process died while it decoded this instance; it may be damaged") from None


def _wait(future: Future[Any]) -> None:
    """Raises Cancelled as soon as the client disconnects: the thread is free for the next request."""
    woken = threading.Event()
    future.add_done_callback(lambda _: woken.set())
    with on_leave(woken.set):
        woken.wait()
    if not future.done():
        require_client()


def submit_in_order(calls: Iterator[Callable[[], Future[Out]]], window: int) -> Generator[Future[Out], None, None]:
    """Futures in the order of the calls, for ``wait_for_pixels``; at most ``window`` of them run at a time."""
    running: list[Future[Out]] = []
    try:
        for call in calls:
            running.append(call())
            if len(running) >= window:
                yield running.pop(0)
        while running:
            yield running.pop(0)
    finally:
        for future in running:
            future.cancel()
