"""What stores hold, and what is left of what they held. Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gantry.names import DicomStoreName


class Holding(NamedTuple):
    """What a store holds of one storage class."""

    store: DicomStoreName
    storage_class: str
    instances: int
    blob_bytes: int


class Unswept(NamedTuple):
    """What was deleted and is not removed yet: ``blobs`` on the list of the sweeper, up to a limit of the caller, and
    ``series`` with their ``blob_bytes`` that lie below what was deleted as a whole."""

    blobs: int
    series: int
    blob_bytes: int


class RecentStore(NamedTuple):
    """What a store holds, the last day (since 1970) on which that changed, None where it never did, and how many
    instances it gained, or lost, on each of the last days; the policies of it and of all above it."""

    store: DicomStoreName
    instances: int
    blob_bytes: int
    last_day: int | None
    days: Mapping[int, int]
    policies: Sequence[str] = ()
