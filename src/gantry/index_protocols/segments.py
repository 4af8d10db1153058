"""Segments: objects that hold the bytes of several instances."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from gantry.resources import Change, Failure, Segment, SegmentTotals


class SegmentIndex(Protocol):
    """What is left in segments. One that is sealed goes, and becomes garbage, with the last row that names it."""

    def list_sparse(self, limit: int, share: float, after: str = "") -> list[Segment]:
        """Sealed segments of which less than ``share`` (0 to 1) of their bytes is left, in the order of their keys,
        those after the key ``after``; none of deleted stores."""
        ...

    def list_small(self, limit: int, size: int, least: int, after: str = "") -> list[Segment]:
        """Sealed segments of less than ``size`` bytes of one store in one place that has at least ``least`` of them
        after the key ``after``, in the order of their keys; none of deleted stores."""
        ...

    def is_busy(self, store_id: int) -> bool:
        """Whether an operation of the store is not done."""
        ...

    def move_instances(self, store_id: int, moves: Sequence[Change], segments: Sequence[str]) -> tuple[Failure, ...]:
        """Bytes that were copied elsewhere are used from there, in one transaction; the failures of instances that
        are not as they were read any more. Raises Aborted while an operation of the store is not done: it has read
        where the bytes are, and would take a move for a change by somebody else.

        ``segments`` are those that the bytes were copied to: they are sealed. What no row names then becomes garbage.
        """
        ...

    def list_named(self, key: str, known: Collection[str]) -> list[str]:
        """The keys of the blobs in a segment that rows name, where some of them are ``known``. Reads all rows where
        more are counted than are known."""
        ...

    def list_stores(self) -> list[int]:
        """The numbers of all DICOM stores but deleted ones."""
        ...

    def list_totals(self) -> list[SegmentTotals]:
        """All segments, by store and place."""
        ...
