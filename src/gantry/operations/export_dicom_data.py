"""``dicomStores.export`` to object storage, as stored or in another form."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from gantry.beats import SYNC_SECONDS, beat, beat_for
from gantry.calls_ahead import call_ahead
from gantry.containment import contain
from gantry.counters import Transfer
from gantry.dicom.forms import AS_STORED, DICOM, Form, parse_form
from gantry.errors import Cancelled, DeadlineExceeded, StatusError
from gantry.operations.batches import MAX_ITEMS, cut
from gantry.operations.bucket_use import open_bucket
from gantry.operations.filtering import list_instances
from gantry.operations.interruption import go_on
from gantry.operations.per_instance import Work, process_instances
from gantry.operations.unfinished_exports import list_unfinished
from gantry.resources import Batch, Failure, Operation, StoredInstance
from gantry.seams import (
    BlobStore,
    Bucket,
    OpenedObject,
    Seams,
)
from gantry.storage.uris import parse_prefix
from gantry.stored_bytes import open_stored
from gantry.worker_calls import Check, read_window

logger = logging.getLogger(__name__)

FRAME_SECONDS = 60  # far more than the largest frame takes; damaged data can keep a codec busy for ever
INSTANCE_SECONDS = 1800  # of one instance with very many frames
AS_THEY_ARE = Form(DICOM, AS_STORED)
CODEC_ITEMS, CODEC_BYTES = 32, 16 << 20  # limits of a batch that is transcoded: each item and byte takes longer


class Written(NamedTuple):
    """``bytes`` that passed through this server, in so many ``files``."""

    bytes: int
    files: int


def export_dicom_data(seams: Seams, operation: Operation, check: Check = go_on) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. Raises NotFound for a missing bucket or filter file, BucketAway."""
    prefix = parse_prefix(operation.request["uri_prefix"])
    form = parse_form(operation.request.get("mime_type") or DICOM)
    destination = open_bucket(seams, operation, prefix.bucket, "write", prefix.key)
    listed, is_clean = list_unfinished(seams, operation, prefix, destination), operation.attempt == 1
    write = partial(export_batch, blobs=seams.blobs, destination=destination, prefix=prefix.key, form=form)

    def submit(_number: int, instances: Sequence[StoredInstance], _offset: int) -> Future[list[Written | Failure]]:
        return seams.executor.submit(write, list(instances))

    def to_batch(_number: int, _instances: Sequence[StoredInstance], outcomes: Sequence[Written | Failure]) -> Batch:
        written = [each for each in outcomes if isinstance(each, Written)]
        sums = sum(each.bytes for each in written), sum(each.files for each in written)
        return Batch("", success=len(written), transfer=Transfer(sums[0], files=sums[1]))

    away: list[StatusError] = []

    def on_drop(instances: Sequence[StoredInstance]) -> None:
        nonlocal is_clean
        is_clean = False  # a worker was killed
        if not away:  # nobody waits for each batch of a bucket that hangs
            try:
                _delete_unfinished(destination, prefix.key, form, instances)
            except StatusError as error:
                away.append(error)
                logger.warning("operation %s: what was not finished stays: %s", operation.name, error.message)

    limits = {} if form == AS_THEY_ARE else {"max_items": CODEC_ITEMS, "max_bytes": CODEC_BYTES}
    work = Work[Written]("wrote this instance", submit, to_batch, on_drop=on_drop, limits=limits)
    with closing(process_instances(seams, operation, work, check)) as batches:
        for batch in batches:
            is_clean = is_clean and not batch.failures
            yield batch
    if is_clean:
        seams.index.garbage.forget_blobs([listed])


def delete_unfinished(seams: Seams, operation: Operation, check: Check) -> None:
    """Remove the temporary files that an attempt has left in the bucket, because its server was killed: before the next
    attempt, and where it was cancelled meanwhile. They are in the batches behind the checkpoint, none of which may be
    small: the attempt may have gone on for long.

    What cannot be removed now stays until the export is over (``unfinished_exports``), and the log says so. Raises what
    ``check`` raises.
    """
    prefix = parse_prefix(operation.request["uri_prefix"])
    form = parse_form(operation.request.get("mime_type") or DICOM)
    try:
        destination = open_bucket(seams, operation, prefix.bucket, "write", prefix.key)
        _, instances = list_instances(seams, operation)
        for batch in islice(cut(instances, attrgetter("size"), first_items=MAX_ITEMS), read_window(seams.window)):
            check()
            _delete_unfinished(destination, prefix.key, form, batch)
    except StatusError as error:
        logger.warning("operation %s: what was not finished stays: %s", operation.name, error.message)


def _delete_unfinished(destination: Bucket, prefix: str, form: Form, instances: Sequence[StoredInstance]) -> None:
    """No call that writes these instances may run. An error is not that of the operation: the log says it. Raises what
    an operation waits for (``waits_for``), and Cancelled: the other directories would meet it, too."""
    for directory in sorted({each for instance in instances for each in _list_directories(prefix, instance, form)}):
        try:
            destination.delete_unfinished(f"{directory}/", directory.count("/") + 1)
        except Cancelled:
            raise
        except StatusError as error:
            if error.waits_for is not None:
                raise
            logger.warning("a file in %s was not finished, but cannot be deleted: %s", directory, error.message)


def export_batch(
    instances: Sequence[StoredInstance], *, blobs: BlobStore, destination: Bucket, prefix: str, form: Form
) -> list[Written | Failure]:
    """Write ``{prefix}{study}/{series}/{instance}[/{frame}]{extension}``, replacing older files; durable on return.

    The outcome of an instance is what was written, without the bytes that the provider of both buckets has copied
    itself. An error of one instance becomes its Failure; what an
    operation waits for (``waits_for``) is raised.
    """

    def write(instance: StoredInstance) -> Written:
        with contain(instance.path, "while it was exported"), _open(blobs, instance) as blob:
            return _write(blob, destination, prefix + "/".join(instance.uids), form)

    outcomes: list[Written | Failure] = []
    # What is transcoded is encoded by one thread: the time limits of its frames are those of the process.
    concurrency = destination.concurrency if form == AS_THEY_ARE else 1
    with closing(call_ahead(write, instances, lambda instance: instance.size, concurrency)) as coming:
        for instance, write_it in coming:
            beat_for(instance.size)
            try:
                outcomes.append(write_it())
            except StatusError as error:
                if error.waits_for is not None:
                    raise
                destination.require_mounted()
                outcomes.append(Failure(instance.path, error.status))
    beat(SYNC_SECONDS)
    destination.flush()
    return outcomes


def _open(blobs: BlobStore, instance: StoredInstance) -> OpenedObject:
    return open_stored(blobs, instance.blob_key, instance.size)


def _list_directories(prefix: str, instance: StoredInstance, form: Form) -> tuple[str, ...]:
    """The directories of an instance's file, and of the files of its frames."""
    series = prefix + "/".join(instance.uids[:-1])
    return (series,) if form == AS_THEY_ARE else (series, f"{series}/{instance.sop_instance_uid}")


def _write(blob: OpenedObject, destination: BlobStore, name: str, form: Form) -> Written:
    """Write all files of one instance, or none: after an error the files written so far are removed."""
    if form == AS_THEY_ARE:
        size = destination.copy_from(blob, f"{name}.dcm")
        return Written(0 if blob.is_copied_there else size, 1)
    from gantry.dicom.representations import represent

    written: list[str] = []
    size = 0
    try:
        for part in represent(blob, form, _make_watch(time.monotonic() + INSTANCE_SECONDS)):
            key = f"{name}/{part.frame}{part.extension}" if part.frame else f"{name}{part.extension}"
            size += destination.put(key, [part.data])
            written.append(key)
        return Written(size, len(written))
    except Exception:
        for key in written:
            with suppress(StatusError):  # the error of the instance is the one to report
                destination.delete(key)
        raise
    finally:
        beat(None)


def _make_watch(deadline: float) -> Callable[[], None]:
    """A function to call before each frame: it limits the frame to FRAME_SECONDS, the instance to ``deadline``."""

    def next_frame() -> None:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"the instance takes longer than {INSTANCE_SECONDS} seconds; it was left out")
        beat(FRAME_SECONDS)

    return next_frame
