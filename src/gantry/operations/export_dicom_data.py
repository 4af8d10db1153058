"""``dicomStores.export`` to object storage, in the original format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing

from gantry.errors import Code, ResourceExhausted, Status, StatusError
from gantry.operations.batches import cut, run_in_order
from gantry.resources import Batch, Failure, Instance, Operation
from gantry.seams import BlobStore, Seams
from gantry.storage.uris import parse_prefix

_Placed = tuple[str, Instance]


def export_dicom_data(seams: Seams, operation: Operation) -> Iterator[Batch]:
    """Batches from the checkpoint on. Raises NotFound for a missing bucket."""
    prefix = parse_prefix(operation.request["uri_prefix"])
    destination = seams.bucket(prefix.bucket, str(operation.name.id))
    total = seams.index.count_instances(operation.store_id)

    def submit(_number: int, placed: Sequence[_Placed], _offset: int) -> Future[list[Failure | None]]:
        instances = [instance for _, instance in placed]
        return seams.executor.submit(
            export_batch, instances, blobs=seams.blobs, destination=destination, prefix=prefix.key
        )

    found = seams.index.instances(operation.store_id, operation.checkpoint)
    results = run_in_order(submit, cut(found, lambda placed: placed[1].size), seams.window, _died)
    with closing(results):
        for _, placed, outcomes in results:
            failures = tuple(outcome for outcome in outcomes if outcome is not None)
            yield Batch(
                checkpoint=placed[-1][0], success=len(placed) - len(failures), failures=failures, listed=total
            )


def export_batch(
    instances: Sequence[Instance], *, blobs: BlobStore, destination: BlobStore, prefix: str
) -> list[Failure | None]:
    """Write ``{prefix}{study}/{series}/{instance}.dcm`` for each, over what is there; durable on return.

    What is wrong with one instance becomes its Failure; ResourceExhausted (the destination is full) is raised.
    """
    outcomes: list[Failure | None] = []
    for instance in instances:
        key = f"{prefix}{'/'.join(instance.uids)}.dcm"
        try:
            with blobs.open(instance.blob_key) as blob:
                destination.copy_from(blob, key)
            outcomes.append(None)
        except ResourceExhausted:
            raise
        except StatusError as error:
            outcomes.append(Failure(instance.path, error.status))
    destination.flush()
    return outcomes


def _died(placed: _Placed) -> Failure:
    return Failure(placed[1].path, Status(Code.INTERNAL, "the worker process died while it wrote this instance"))
