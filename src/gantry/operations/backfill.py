"""Reads the headers of instances that an older version stored without attributes, so that searches find them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from itertools import groupby

from gantry.errors import Unavailable
from gantry.ingest import describe_stored
from gantry.operations.interruption import make_stop_check
from gantry.resources import Failure, Instance, StoredInstance
from gantry.seams import Seams
from gantry.worker_calls import Check, WorkerDied, wait_for_result

logger = logging.getLogger(__name__)

_BATCH = 200  # instances in one call of a worker: a second or so
_FIRST_WAIT, _MOST_WAIT = 5.0, 600.0  # seconds before those that could not be read are tried again
_REPORTED = 10  # of them are named in the log


def describe_rest(seams: Seams, stopping: threading.Event) -> None:
    """Try what could not be read again and again, with pauses that grow. Raises Stopping."""
    wait = _FIRST_WAIT
    while not stopping.wait(wait) and describe_old(seams, stopping):
        wait = min(wait * 2, _MOST_WAIT)


def describe_old(seams: Seams, stopping: threading.Event) -> bool:
    """Try each instance once, in batches; each batch is committed. Whether some could not be read: they stay as they
    are. Raises Stopping."""
    failed = _go_through(seams, stopping)
    for failure in failed:
        logger.warning("%s: its header cannot be read: %s", failure.resource, failure.status.message)
    if failed:
        logger.warning("searches do not find instances whose headers cannot be read; they are tried again")
    return bool(failed)


def _go_through(seams: Seams, stopping: threading.Event) -> list[Failure]:
    """The first of those that could not be read."""
    failed: list[Failure] = []
    after = (0, "")
    while not stopping.is_set() and (pairs := seams.index.description.list_undescribed(_BATCH, after)):
        after = pairs[-1][1].series_id, pairs[-1][1].sop_instance_uid
        logger.info("reading the headers of %d instances that an older version stored", len(pairs))
        for store_id, group in groupby(pairs, key=lambda pair: pair[0]):
            instances = [item for _, item in group]
            outcomes = _describe(seams, instances, make_stop_check(stopping))
            described = [item for item in outcomes if isinstance(item, Instance)]
            if described:
                seams.index.description.describe(store_id, described)
            failed += [item for item in outcomes if isinstance(item, Failure)][: _REPORTED - len(failed)]
    return failed


def _describe(seams: Seams, instances: Sequence[StoredInstance], check: Check) -> list[Instance | Failure]:
    """Describe a batch; if its worker dies, each instance alone. One that a worker dies of stays undescribed."""
    try:
        future = seams.executor.submit(describe_stored, instances, blobs=seams.blobs)
        described: list[Instance | Failure] = wait_for_result(future, check)
        return described
    except WorkerDied as error:
        if len(instances) < 2:
            return [Failure(item.path, Unavailable(f"its worker process ended: {error}").status) for item in instances]
    return [described for item in instances for described in _describe(seams, [item], check)]
