"""Reads the headers of instances that an older Gantry has stored, so that searches find them too."""

from __future__ import annotations

import logging
import threading
from itertools import groupby

from gantry.ingest import describe_stored
from gantry.seams import Seams, WorkerDied

logger = logging.getLogger(__name__)

_BATCH = 200


def describe_old(seams: Seams, stopping: threading.Event) -> None:
    """A batch at a time until there is none; what is done stays done."""
    while not stopping.is_set() and (found := seams.index.undescribed(_BATCH)):
        logger.info("reading the headers of %d instances that an older version stored", len(found))
        for store_id, group in groupby(found, key=lambda pair: pair[0]):
            instances = [item for _, item in group]
            try:
                described = seams.executor.submit(describe_stored, instances, blobs=seams.blobs).result()
            except WorkerDied:
                described = instances  # one of them is more than a worker can bear; the files are there all the same
            seams.index.describe(store_id, described)
