"""Removing many objects of a store, whatever cannot be removed among them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import takewhile
from typing import Protocol

from gantry.errors import StatusError, Unavailable
from gantry.resources import ObjectMeta
from gantry.seams import without_gaps
from gantry.worker_calls import Check


class Removable(Protocol):
    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]: ...

    def delete(self, key: str) -> None: ...

    def sync_removed(self, directories: set[str]) -> None:
        """Return when what was removed from these directories cannot come back. Raises StatusError."""
        ...

    def require_mounted(self) -> None: ...


def delete_each(store: Removable, prefix: str, start_after: str, check: Check | None, before: str) -> int:
    """``delete_prefix`` of a store: what cannot be removed, or listed, hinders nothing beside it."""
    count, failed = 0, None
    changed: set[str] = set()
    found = without_gaps(stop_before(store.list(prefix, start_after, check=check), before))
    try:
        for entry in found:
            if check is not None:
                check()
            try:
                store.delete(entry.key)
                changed.add(entry.key.rpartition("/")[0])
                count += 1
            except StatusError as error:
                if error.waits_for is not None:
                    raise
                failed = failed or error
    except Unavailable as error:
        failed = failed or error
    store.sync_removed(changed)
    if failed is not None:
        raise failed
    store.require_mounted()
    return count


def stop_before(found: Iterator[ObjectMeta], key: str) -> Iterator[ObjectMeta]:
    """Those of a listing that sort before a key; all where it is empty."""
    last = os.fsencode(key)
    return takewhile(lambda each: os.fsencode(each.key) < last, found) if key else found
