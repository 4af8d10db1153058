"""The port of ``gantry check``: what only the index can say of itself, read in snapshots and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from gantry.findings import Finding
from gantry.index_protocols.instances import GarbageIndex, InstanceIndex
from gantry.index_protocols.segments import SegmentIndex
from gantry.resources import Uids


class PackUser(NamedTuple):
    """An instance and the number of its header in a pack."""

    number: int
    uids: Uids


class PackUsers(NamedTuple):
    """A pack of headers with the instances that have theirs in it, in the order of their numbers. ``data`` is None
    where the pack is missing; ``is_alive`` is False for one that goes with a series that was deleted."""

    id: int
    data: bytes | None
    users: Sequence[PackUser]
    is_alive: bool


class Extents(NamedTuple):
    """A segment with the places of its instances: (offset, size, UIDs), in the order of the offsets. Nothing is written
    to it any more where it ``is_sealed``."""

    key: str
    store_id: int
    is_sealed: bool
    instances: Sequence[tuple[int, int, Uids]]


class HeldBlob(NamedTuple):
    """The bytes of an instance, as its row says."""

    key: str
    size: int
    store_id: int
    uids: Uids


class HeldBlobs(NamedTuple):
    """An object, its key, and the instances whose bytes are in it: those of a segment, or the one that it is."""

    key: str
    blobs: Sequence[HeldBlob]


class CheckIndex(Protocol):
    """Raises Unavailable where the index cannot be read."""

    def find_damage(self) -> Iterator[Finding]:
        """What SQLite finds wrong with its own file."""
        ...

    def find_wrong_counts(self) -> Iterator[Finding]:
        """Counts and tallies of stores, studies, series and segments that are not those of the rows."""
        ...

    def find_wrong_rows(self) -> Iterator[Finding]:
        """Rows that belong to something that does not exist, or contradict each other."""
        ...

    def find_overlaps(self) -> Iterator[Finding]:
        """Instances that share bytes with another one, in a segment or outside."""
        ...

    def find_wrong_terms(self) -> Iterator[Finding]:
        """What searches look for that is not what the rows say."""
        ...

    def find_wrong_changes(self) -> Iterator[Finding]:
        """Changes that the change feed cannot tell, or has lost."""
        ...

    def walk_packs(self) -> Iterator[PackUsers]:
        """All packs that an instance uses, by their numbers."""
        ...

    def walk_segments(self) -> Iterator[Extents]:
        """All segments of stores that are not deleted."""
        ...

    def walk_objects(self) -> Iterator[HeldBlobs]:
        """All objects that have bytes of instances of stores that are not deleted, sorted by the bytes of their keys.
        What comes while they are walked is left out, and what goes too."""
        ...

    def find_unclaimed(self, objects: Sequence[str]) -> set[str]:
        """Those of at most a few hundred objects below ``PLACE/`` that no row names, that are no garbage, and that no
        upload, operation or deletion will remove."""
        ...


class CheckedIndex(Protocol):
    """The parts of the index that a check reads."""

    @property
    def checks(self) -> CheckIndex: ...

    @property
    def instances(self) -> InstanceIndex: ...

    @property
    def segments(self) -> SegmentIndex: ...

    @property
    def garbage(self) -> GarbageIndex: ...
