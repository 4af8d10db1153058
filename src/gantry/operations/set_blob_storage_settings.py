"""``setBlobStorageSettings``: another storage class for instances, and another place for their bytes if it has one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial

from gantry.containment import contain
from gantry.errors import Code, ResourceExhausted, Status, StatusError
from gantry.operations.batches import cut, run_in_order
from gantry.operations.blob_keys import batch_prefix, blob_key, half_written, place_in
from gantry.operations.filtering import chosen, read_filter, refused_before
from gantry.operations.second_look import look_again
from gantry.resources import Batch, Change, Failure, Instance, Operation
from gantry.seams import BlobStore, Seams, WorkerDied

_Placed = tuple[str, Instance]


def set_blob_storage_settings(seams: Seams, operation: Operation) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. Raises NotFound for a missing filter file or its bucket.

    What has the class already, in the right place, is a success and is left as it is.
    """
    refused = refused_before(operation)
    for batch in read_filter(seams, operation):
        refused += len(batch.failures)
        yield batch
    storage_class = operation.request["storage_class"]
    place = seams.place_of(storage_class)
    copy = partial(copy_batch, blobs=seams.blobs, place=place)

    def submit(number: int, placed: Sequence[_Placed], offset: int) -> Future[list[str | Failure]]:
        instances = [instance for _, instance in placed]
        return seams.executor.submit(copy, instances, offset, blob_prefix=batch_prefix(operation, number))

    count, found = chosen(seams, operation)
    total = refused + count
    results = run_in_order(submit, cut(found, lambda placed: placed[1].size), seams.window, _died)
    with closing(results):
        for number, placed, first in results:
            outcomes = look_again(seams, operation.store_id, placed, first, _moved)
            batch = _batch(placed, outcomes, storage_class, total)
            prefix = batch_prefix(operation, number)
            yield replace(batch, blob_prefix=prefix, garbage=tuple(half_written(outcomes, f"{place}/{prefix}")))


def copy_batch(
    instances: Sequence[Instance], offset: int = 0, *, blobs: BlobStore, place: str, blob_prefix: str
) -> list[str | Failure]:
    """The blob keys of instances once their bytes are in ``place``: those that are not yet are copied there.

    Copies are numbered from ``offset`` on and durable on return. What is wrong with one instance becomes its Failure;
    ResourceExhausted (the disk of that place is full) is raised.
    """
    outcomes: list[str | Failure] = []
    for number, instance in enumerate(instances, offset):
        try:
            if place_in(instance.blob_key) == place:
                outcomes.append(instance.blob_key)
                continue
            with contain(instance.path, "while it was copied to another place"):
                outcomes.append(_copy(blobs, instance.blob_key, blob_key(f"{place}/{blob_prefix}", number)))
        except ResourceExhausted:
            raise
        except StatusError as error:
            outcomes.append(Failure(instance.path, error.status))
    blobs.flush()
    return outcomes


def _copy(blobs: BlobStore, source: str, target: str) -> str:
    try:
        with blobs.open(source) as opened:
            blobs.copy_from(opened, target)
    except Exception:
        with suppress(StatusError):
            blobs.delete(target)
        raise
    return target


def _batch(placed: Sequence[_Placed], outcomes: Sequence[str | Failure], storage_class: str, total: int) -> Batch:
    changes = [
        Change(position, instance, storage_class, key)
        for (position, instance), key in zip(placed, outcomes, strict=True)
        if isinstance(key, str) and (key, storage_class) != (instance.blob_key, instance.storage_class)
    ]
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
    return Batch(
        checkpoint=placed[-1][0],
        changes=tuple(changes),
        success=len(placed) - len(changes) - len(failures),
        failures=failures,
        listed=total,
    )


def _moved(placed: Sequence[_Placed]) -> list[str | Failure]:
    status = Status(Code.ABORTED, "another operation moved this instance meanwhile; start this one again")
    return [Failure(instance.path, status) for _, instance in placed]


def _died(placed: _Placed, _error: WorkerDied) -> Failure:
    return Failure(placed[1].path, Status(Code.INTERNAL, "the worker process died while it copied this instance"))
