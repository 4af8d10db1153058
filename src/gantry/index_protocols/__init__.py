"""The port of the index: a Protocol for each subject. ``index.sql`` implements them with SQLite."""

from __future__ import annotations

from typing import Protocol

from gantry.index_protocols.deliveries import DeliveryIndex
from gantry.index_protocols.feed import FeedIndex
from gantry.index_protocols.instances import (
    DeletionIndex,
    DescriptionIndex,
    GarbageIndex,
    InstanceIndex,
    SelectionIndex,
    UploadIndex,
)
from gantry.index_protocols.keys import KeyIndex
from gantry.index_protocols.operations import LogIndex, OperationIndex, RetentionIndex
from gantry.index_protocols.resources import AccessIndex, ResourceIndex
from gantry.index_protocols.restoration import RestorationIndex
from gantry.index_protocols.searches import MetricsIndex, SavedSearchIndex, SearchIndex
from gantry.index_protocols.segments import SegmentIndex
from gantry.index_protocols.servers import ServerIndex


class Index(Protocol):
    """The whole index. Safe to use from many threads.

    Each call is one transaction. Raises Interrupted where the index is temporarily unavailable: then nothing was
    written, unless it is OutcomeUnknown (``index.refusals``), whose message says so. See ``settle``.
    """

    @property
    def resources(self) -> ResourceIndex: ...

    @property
    def access(self) -> AccessIndex: ...

    @property
    def keys(self) -> KeyIndex: ...

    @property
    def operations(self) -> OperationIndex: ...

    @property
    def logs(self) -> LogIndex: ...

    @property
    def retention(self) -> RetentionIndex: ...

    @property
    def instances(self) -> InstanceIndex: ...

    @property
    def selections(self) -> SelectionIndex: ...

    @property
    def search(self) -> SearchIndex: ...

    @property
    def saved_searches(self) -> SavedSearchIndex: ...

    @property
    def metrics(self) -> MetricsIndex: ...

    @property
    def uploads(self) -> UploadIndex: ...

    @property
    def deletion(self) -> DeletionIndex: ...

    @property
    def garbage(self) -> GarbageIndex: ...

    @property
    def segments(self) -> SegmentIndex: ...

    @property
    def description(self) -> DescriptionIndex: ...

    @property
    def feed(self) -> FeedIndex: ...

    @property
    def restoration(self) -> RestorationIndex: ...

    @property
    def servers(self) -> ServerIndex: ...

    @property
    def deliveries(self) -> DeliveryIndex: ...

    def settle(self) -> None:
        """Return once it is certain what earlier calls have written, those that raised an error included, and all of
        it is durable. Bytes are deleted only after it. Raises Interrupted."""
        ...

    def keep_reserve(self) -> None:
        """Keep room on the disk, so that deletions can be written when it is full. To be called now and then."""
        ...

    def examine(self) -> None:
        """Look for damage, if it is long ago that this was done. It may take minutes."""
        ...

    def find_damage(self) -> str:
        """What was found when it was examined last, "" while all is well: one that may have lost rows says of no bytes
        that nobody names them."""
        ...

    def find_troubles(self) -> list[str]:
        """What is wrong with the index for longer than one call, each in one sentence without a full stop."""
        ...

    def read_times(self) -> dict[str, tuple[list[tuple[str, int]], float]]:
        """How long the database took since the start, each as ``Histogram.read``: ``turns`` are the waits of writers
        for their turn in this server, ``transactions`` what came then, ``connections`` the waits of readers for a
        connection."""
        ...

    def close(self) -> None:
        """Close the index; it cannot be used afterwards."""
        ...
