"""``updateMetadata`` of a study or series: a JSON Patch applied to each of its instances."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future

from gantry.operations.blob_keys import batch_prefix, blob_key, list_half_written
from gantry.operations.interruption import go_on
from gantry.operations.per_instance import Work, process_instances
from gantry.resources import Batch, Failure, Operation, Replacement, StoredInstance
from gantry.seams import Check, Seams
from gantry.studies.update import update_batch

_Outcome = Replacement | Failure | None


def update_metadata(seams: Seams, operation: Operation, check: Check = go_on) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. An instance that the patch does not fit is a failure and is not changed."""
    patch, web_url = operation.request["patch"], operation.request["web_url"]

    def keys(number: int, instances: Sequence[StoredInstance], offset: int) -> list[str]:
        prefix = batch_prefix(operation, number)
        places = (seams.place_of(instance.storage_class) for instance in instances)
        return [blob_key(f"{place}/{prefix}", offset + item) for item, place in enumerate(places)]

    def submit(number: int, instances: Sequence[StoredInstance], offset: int) -> Future[list[_Outcome]]:
        blob_keys = keys(number, instances, offset)
        return seams.executor.submit(
            update_batch, list(instances), blob_keys, patch=patch, web_url=web_url, blobs=seams.blobs
        )

    def to_batch(number: int, instances: Sequence[StoredInstance], outcomes: Sequence[_Outcome]) -> Batch:
        return Batch(
            "",
            replacements=tuple(item for item in outcomes if isinstance(item, Replacement)),
            success=outcomes.count(None),
            blob_prefix=batch_prefix(operation, number),
            garbage=list_half_written(outcomes, keys(number, instances, 0)),
        )

    work = Work[Replacement | None]("updated this instance", submit, to_batch)
    yield from process_instances(seams, operation, work, check)
