"""``setBlobStorageSettings``: another storage class for instances, and another place for their bytes if needed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from gantry.beats import SYNC_SECONDS, beat, beat_for
from gantry.containment import contain
from gantry.errors import Code, MustBeRestored, Status, StatusError
from gantry.operations.batch_writers import BatchWriters, Tries, item_prefix, make_outcomes
from gantry.operations.blob_keys import batch_prefix, parse_place
from gantry.operations.interruption import go_on
from gantry.operations.per_instance import Work, process_instances
from gantry.reasons import Reason
from gantry.resources import Batch, Change, Failure, Operation, StoredInstance
from gantry.seams import Blobs, Seams
from gantry.stored_bytes import WrittenSums, open_stored
from gantry.worker_calls import Check


def set_blob_storage_settings(seams: Seams, operation: Operation, check: Check = go_on) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. Raises NotFound for a missing filter file or its bucket.

    Instances that have the class already, in the right place, are successes and are not changed.
    """
    storage_class = operation.request["storage_class"]
    place = seams.place_of(storage_class)
    seams.records.keep([operation.store_id], place)
    copy = partial(copy_batch, blobs=seams.blobs, place=place)

    tries = Tries(seams)

    def submit(number: int, instances: Sequence[StoredInstance], offset: int) -> Future[list[str | Failure]]:
        call = seams.executor.submit(copy, list(instances), offset, blob_prefix=batch_prefix(operation, number))
        return tries.add(number, call)

    def to_batch(number: int, instances: Sequence[StoredInstance], outcomes: Sequence[str | Failure]) -> Batch:
        prefix = batch_prefix(operation, number)
        changes = _list_changes(instances, outcomes, storage_class)
        success = sum(isinstance(outcome, str) for outcome in outcomes) - len(changes)
        garbage = tries.find_left(number, (f"{place}/{prefix}",), (change.blob_key for change in changes))
        return Batch("", changes=changes, success=success, blob_prefix=prefix, garbage=garbage)

    work = Work[str]("copied this instance", submit, to_batch, again=_fail_moved)
    yield from process_instances(seams, operation, work, check)


def copy_batch(
    instances: Sequence[StoredInstance], offset: int = 0, *, blobs: Blobs, place: str, blob_prefix: str
) -> list[str | Failure]:
    """Copy the bytes of instances to ``place`` unless they are there; the blob key of each instance. Bytes that stay
    where they are must be whole, too.

    Copies are durable on return. What is wrong with one instance becomes its Failure; what an operation
    waits for (``waits_for``) is raised.
    """
    outcomes: list[str | Failure] = []
    sums = WrittenSums(blobs, [instance.blob_key for instance in instances])
    with BatchWriters(blobs, item_prefix(blob_prefix, offset)) as writers:
        for instance in instances:
            beat_for(instance.size)
            try:
                with contain(instance.path, "while it was copied to another place"):
                    outcomes.append(_copy(blobs, instance, writers, place, sums))
            except StatusError as error:
                if error.waits_for is not None:
                    raise
                outcomes.append(Failure(instance.path, error.status))
        beat(SYNC_SECONDS)
        writers.flush()
    return make_outcomes(outcomes, writers)


def _copy(blobs: Blobs, instance: StoredInstance, writers: BatchWriters, place: str, sums: WrittenSums) -> str:
    if parse_place(instance.blob_key) == place:
        _require_bytes(blobs, instance)
        return instance.blob_key
    with open_stored(blobs, instance.blob_key, instance.size) as opened:
        return writers.at(place).copy_from(opened, instance.uids, sums.get(instance.blob_key))


def _require_bytes(blobs: Blobs, instance: StoredInstance) -> None:
    """In an archive nobody can look at them, and what stays there need not be read."""
    with suppress(MustBeRestored), open_stored(blobs, instance.blob_key, instance.size):
        pass


def _list_changes(
    instances: Sequence[StoredInstance], outcomes: Sequence[str | Failure], storage_class: str
) -> tuple[Change, ...]:
    return tuple(
        Change(instance, storage_class, key)
        for instance, key in zip(instances, outcomes, strict=True)
        if isinstance(key, str) and (key, storage_class) != (instance.blob_key, instance.storage_class)
    )


def _fail_moved(instances: Sequence[StoredInstance]) -> list[str | Failure]:
    status = Status(
        Code.ABORTED,
        "another operation moved this instance meanwhile",
        "start this one again",
        kind=Reason.INSTANCE_CHANGED,
    )
    return [Failure(instance.path, status) for instance in instances]
