"""Reads the headers of instances that an older Gantry has stored, so that searches find them too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from itertools import groupby

from gantry.ingest import describe_stored
from gantry.operations.interruption import until
from gantry.resources import Instance, StoredInstance
from gantry.seams import Check, Seams, WorkerDied, result_of

logger = logging.getLogger(__name__)

_BATCH = 200


def describe_old(seams: Seams, stopping: threading.Event) -> None:
    """A batch at a time until there is none; what is done stays done. Raises Stopping."""
    while not stopping.is_set() and (found := seams.index.description.list_undescribed(_BATCH)):
        logger.info("reading the headers of %d instances that an older version stored", len(found))
        for store_id, group in groupby(found, key=lambda pair: pair[0]):
            instances = [item for _, item in group]
            seams.index.description.describe(store_id, _describe(seams, instances, until(stopping)))


def _describe(seams: Seams, instances: Sequence[StoredInstance], check: Check) -> list[Instance]:
    """One that a worker dies of stays as it is: its file is there all the same."""
    try:
        future = seams.executor.submit(describe_stored, instances, blobs=seams.blobs)
        found = result_of(future, check)
        return list(found)
    except WorkerDied:
        if len(instances) < 2:
            return [item.to_instance() for item in instances]
    return [found for item in instances for found in _describe(seams, [item], check)]
