"""Deleting many blobs of a directory at once: durable on return, each segment opened and synced once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from gantry.errors import StatusError
from gantry.storage.disks import translate_delete_error
from gantry.storage.durable import sync_file
from gantry.storage.extents import Extent
from gantry.storage.local_extents import GONE, free_locked, open_to_free

Failed = dict[str, StatusError]


def free_extents(root: bytes, name: bytes, extents: Sequence[Extent]) -> Failed:
    """Free ranges of the segment at the path ``name``; the errors of those that could not be freed. A segment that is
    gone has none."""
    failed: Failed = {}
    try:
        fd = open_to_free(root, name)
        try:
            for run in _runs(extents):
                _free_run(fd, run, failed)
            sync_file(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in GONE:
            failed |= {str(each): translate_delete_error(error, str(each)) for each in extents}
    except StatusError as error:  # nobody knows which of them are free on the disk
        failed |= {str(each): error for each in extents}
    return failed


def _runs(extents: Sequence[Extent]) -> Iterator[list[Extent]]:
    """Extents that follow each other without a gap."""
    run: list[Extent] = []
    for extent in extents:
        if run and run[-1].end != extent.offset:
            yield run
            run = []
        run.append(extent)
    if run:
        yield run


def _free_run(fd: int, run: Sequence[Extent], failed: Failed) -> None:
    """In one call; one by one where somebody reads one of them. Raises OSError."""
    try:
        free_locked(fd, run[0].offset, run[-1].end, str(run[0]))
    except StatusError as error:
        if len(run) == 1:
            failed[str(run[0])] = error
            return
        for extent in run:
            _free_run(fd, [extent], failed)
