"""The change feed of DICOM stores."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from gantry.events import FeedTotals, Page, Position


class FeedIndex(Protocol):
    """What happened to the instances of a store, each once, in the order of the transactions that have done it.

    It is written by those transactions themselves. An instance that went with its study or series is told when its row
    goes, and comes in the feed where the deletion was: nothing that was done after it is told before.
    """

    def begin(self, is_on: bool) -> None:
        """From now on it is recorded, or not. Where that was different before, nothing older is told any more."""
        ...

    def get_era(self) -> str:
        """Which feed it is: another one each time that it begins anew. Empty while nothing is recorded."""
        ...

    def read(self, store_id: int, position: Position | None, limit: int) -> Page:
        """Up to ``limit`` events after a position; None is before all that are kept. Raises OutOfRange where some that
        came after it are not kept any more or the position is not one of this index, DataLoss where a damaged pack
        comes next."""
        ...

    def pass_damaged(self, store_id: int, position: Position) -> Position | None:
        """The position behind the first pack after one, where that pack is damaged; None where it is not. Raises
        OutOfRange."""
        ...

    def find_start(self, store_id: int) -> Position:
        """Where the oldest change that is kept begins, whether it can be read or not."""
        ...

    def find_end(self, store_id: int) -> Position:
        """The position after all that has happened."""
        ...

    def find_news(self, store_ids: Collection[int]) -> dict[int, tuple[int, int]]:
        """For each store a value that is another one as soon as there may be more to read."""
        ...

    def expire(self, before: datetime | None, limit: int = ...) -> bool:
        """Remove up to ``limit`` packs that nobody is told of any more, or of a time before; True once none is left."""
        ...

    def count(self) -> FeedTotals: ...
