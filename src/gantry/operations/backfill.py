"""Reads the headers of instances that an older version stored without attributes, so that searches find them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from itertools import groupby

from gantry.ingest import describe_stored
from gantry.operations.interruption import make_stop_check
from gantry.resources import Instance, StoredInstance
from gantry.seams import Check, Seams, WorkerDied, wait_for_result

logger = logging.getLogger(__name__)

_BATCH = 200  # instances in one call of a worker: a second or so


def describe_old(seams: Seams, stopping: threading.Event) -> None:
    """Work in batches until none is left; each batch is committed. Raises Stopping."""
    while not stopping.is_set() and (pairs := seams.index.description.list_undescribed(_BATCH)):
        logger.info("reading the headers of %d instances that an older version stored", len(pairs))
        for store_id, group in groupby(pairs, key=lambda pair: pair[0]):
            instances = [item for _, item in group]
            seams.index.description.describe(store_id, _describe(seams, instances, make_stop_check(stopping)))


def _describe(seams: Seams, instances: Sequence[StoredInstance], check: Check) -> list[Instance]:
    """Describe a batch; if its worker dies, each instance alone. One that a worker dies of stays undescribed."""
    try:
        future = seams.executor.submit(describe_stored, instances, blobs=seams.blobs)
        described: list[Instance] = wait_for_result(future, check)
        return described
    except WorkerDied:
        if len(instances) < 2:
            return [item.to_instance() for item in instances]
    return [described for item in instances for described in _describe(seams, [item], check)]
