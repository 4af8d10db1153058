"""``updateMetadata`` of a study or series: a JSON Patch applied to each of its instances (spec §10.2.11)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial

from gantry.errors import Code, Status
from gantry.operations.batches import cut, outcomes_of, run_in_order
from gantry.operations.blob_keys import batch_prefix, blob_key
from gantry.operations.filtering import chosen
from gantry.operations.second_look import look_again
from gantry.resources import Batch, Failure, Operation, Replacement
from gantry.seams import Seams, WorkerDied
from gantry.studies.update import Placed, update_batch

_Outcome = Replacement | Failure | None


def update_metadata(seams: Seams, operation: Operation) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. An instance that the patch does not fit is a failure and stays as it is."""
    patch, web_url = operation.request["patch"], operation.request["web_url"]

    def keys(number: int, placed: Sequence[Placed], offset: int) -> list[str]:
        prefix = batch_prefix(operation, number)
        places = (seams.place_of(instance.storage_class) for _, instance in placed)
        return [blob_key(f"{place}/{prefix}", offset + item) for item, place in enumerate(places)]

    def submit(number: int, placed: Sequence[Placed], offset: int) -> Future[list[_Outcome]]:
        made = keys(number, placed, offset)
        return seams.executor.submit(update_batch, list(placed), made, patch=patch, web_url=web_url, blobs=seams.blobs)

    def behind(number: int, count: int, placed: Sequence[Placed]) -> list[_Outcome]:
        """Those whose bytes were moved meanwhile, under numbers that the batch has not used."""

        def again(items: Sequence[Placed], offset: int) -> Future[list[_Outcome]]:
            return submit(number, items, count + offset)

        return outcomes_of(again(placed, 0), again, placed, _died)

    total, found = chosen(seams, operation)
    results = run_in_order(submit, cut(found, lambda placed: placed[1].size), seams.window, _died)
    with closing(results):
        for number, placed, first in results:
            outcomes = look_again(seams, operation.store_id, placed, first, partial(behind, number, len(placed)))
            yield Batch(
                checkpoint=placed[-1][0],
                replacements=tuple(item for item in outcomes if isinstance(item, Replacement)),
                success=outcomes.count(None),
                failures=tuple(item for item in outcomes if isinstance(item, Failure)),
                listed=total,
                blob_prefix=batch_prefix(operation, number),
                garbage=tuple(_half_written(outcomes, keys(number, placed, 0))),
            )


def _half_written(outcomes: Sequence[_Outcome], keys: Sequence[str]) -> Generator[str, None, None]:
    for outcome, key in zip(outcomes, keys, strict=True):
        if isinstance(outcome, Failure) and outcome.status.code is Code.INTERNAL:
            yield key


def _died(placed: Placed, _error: WorkerDied) -> Failure:
    return Failure(placed[1].path, Status(Code.INTERNAL, "the worker process died while it updated this instance"))
