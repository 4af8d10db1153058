"""How far messages about changes have been sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gantry.events import Position
from gantry.names import DicomStoreName


class Delivery(NamedTuple):
    """Changes of a store after ``position`` are to be sent to a topic."""

    store: DicomStoreName
    store_id: int
    topic: str
    position: Position


class DeliveryIndex(Protocol):
    """What changes the topics of a store also writes from where on they get messages, in one transaction."""

    def list_deliveries(self) -> Sequence[Delivery]:
        """Of all stores and topics."""
        ...

    def move(self, store_id: int, topic: str, old: Position, new: Position) -> bool:
        """All before ``new`` has arrived; False where the position is not ``old`` any more."""
        ...
