"""Rows that are made again for blobs which have none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from gantry.names import DicomStoreName


class RestorationIndex(Protocol):
    """What `gantry storage rebuild` needs besides the other parts."""

    def find_stores(self, store_ids: Collection[int]) -> dict[int, DicomStoreName | None]:
        """The names of the stores that have a row, by their numbers; None for those that are deleted."""
        ...

    def restore_store(self, store_id: int, name: DicomStoreName) -> None:
        """A store with a number of its own choice, and its dataset where there is none. Raises AlreadyExists where
        another store has the name."""
        ...

    def list_garbage(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that were given up and are to be deleted, and what operations that are not done have not
        committed: they delete it when they go on."""
        ...

    def seal(self, segments: Sequence[str]) -> None:
        """Nothing more comes into these segments. Those that no row names stay."""
        ...

    def end(self) -> None:
        """All blobs have rows, as far as they can: servers may start again."""
        ...
