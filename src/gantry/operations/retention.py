"""Removes old operations and changes, and passes failures on to the listener."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from gantry.errors import StatusError
from gantry.resources import Operation
from gantry.seams import Seams

logger = logging.getLogger(__name__)


def sweep_operations(seams: Seams, stopping: threading.Event) -> None:
    """Remove finished operations that are older than the retention, with their logs.

    They are hidden first, then removed in bounded transactions: a crash in between leaves nothing partly visible, and
    the next sweep continues. Returns soon after ``stopping`` is set.
    """
    if seams.retention_days:
        before = seams.index.retention.follow_clock() - timedelta(days=seams.retention_days)
        while seams.index.retention.expire_operations(before) and not stopping.is_set():
            pass
    while not stopping.is_set() and seams.index.retention.purge_operation():
        pass


def sweep_changes(seams: Seams, stopping: threading.Event) -> None:
    """Remove what the change feed has kept long enough, and what nobody is told any more, in bounded transactions."""
    days = seams.changes_days
    before = seams.index.retention.follow_clock() - timedelta(days=days) if days else None
    while not stopping.is_set() and not seams.index.feed.expire(before):
        pass


def report_failures(seams: Seams, operation: Operation, count: int) -> None:
    """Pass the last ``count`` entries of an operation's error log, just committed, to the listener.

    An error here is logged and does not affect the operation.
    """
    if count and seams.listener is not None:
        try:
            seams.listener(operation, seams.index.logs.list_last_failures(operation.name, count))
        except StatusError as error:
            logger.warning("operation %s: %d failures were not reported: %s", operation.name, count, error.message)
