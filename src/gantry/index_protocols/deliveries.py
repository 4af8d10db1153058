"""Who is told of the changes of stores, topics and tables, and how far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gantry.events import Position
from gantry.names import DicomStoreName


class Delivery(NamedTuple):
    """Changes of a store after ``position`` are to be told to ``receiver``: a topic, or a table (``bq://…``).

    ``era`` is that of the feed in which the position is (``FeedIndex.get_era``). Empty: it is where the feed begins.
    ``planned`` is how many changes after the position are being told, perhaps, all at once: after a crash they are told
    again, so many and no more. To a table they are added as the rows ``key``; ``end`` is after them. ``added``: the
    table has rows of the store already.
    """

    store: DicomStoreName
    store_id: int
    receiver: str
    position: Position
    era: str
    planned: int
    added: bool = False
    key: str = ""
    end: Position = Position()


class DeliveryIndex(Protocol):
    """What changes the receivers of a store also writes from where on they are told, in one transaction."""

    def get_revision(self) -> str:
        """Another one whenever ``list_deliveries`` has others, but for stores that were deleted."""
        ...

    def list_deliveries(self) -> Sequence[Delivery]:
        """Of all stores and receivers."""
        ...

    def find(self, store_id: int, receiver: str) -> Delivery | None:
        """None where the store does not tell it any more."""
        ...

    def plan(self, delivery: Delivery, count: int, key: str, end: Position) -> bool:
        """So many changes after its position are told next, to ``end``; False where it is not as it was any more."""
        ...

    def move(self, delivery: Delivery, position: Position, era: str, added: bool = False) -> bool:
        """All before ``position`` has arrived, and rows of it were ``added``; False where it is not as it was any
        more."""
        ...
