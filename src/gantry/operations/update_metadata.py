"""``updateMetadata`` of a study or series: a JSON Patch applied to each of its instances."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future

from gantry.operations.batch_writers import Tries, item_prefix
from gantry.operations.blob_keys import batch_prefix
from gantry.operations.interruption import go_on
from gantry.operations.per_instance import Work, process_instances
from gantry.resources import Batch, Failure, Operation, Replacement, StoredInstance
from gantry.seams import Seams
from gantry.studies.update import update_batch
from gantry.worker_calls import Check

_Outcome = Replacement | Failure | None


def update_metadata(seams: Seams, operation: Operation, check: Check = go_on) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. An instance that the patch does not fit is a failure and is not changed."""
    patch, web_url = operation.request["patch"], operation.request["web_url"]

    tries = Tries(seams)

    def submit(number: int, instances: Sequence[StoredInstance], offset: int) -> Future[list[_Outcome]]:
        places = [seams.place_of(instance.storage_class) for instance in instances]
        for place in set(places):
            seams.records.keep([operation.store_id], place)
        prefix = item_prefix(batch_prefix(operation, number), offset)
        call = seams.executor.submit(
            update_batch, list(instances), places, prefix, patch=patch, web_url=web_url, blobs=seams.blobs
        )
        return tries.add(number, call)

    def to_batch(number: int, instances: Sequence[StoredInstance], outcomes: Sequence[_Outcome]) -> Batch:
        replacements = tuple(item for item in outcomes if isinstance(item, Replacement))
        prefix = batch_prefix(operation, number)
        return Batch(
            "",
            replacements=replacements,
            success=outcomes.count(None),
            blob_prefix=prefix,
            garbage=tries.find_left(
                number, [f"{place}/{prefix}" for place in seams.places], (item.after.blob_key for item in replacements)
            ),
        )

    work = Work[Replacement | None]("updated this instance", submit, to_batch)
    yield from process_instances(seams, operation, work, check)
