"""What stores hold, and what is left of what they held. Frozen values, no I/O."""

from __future__ import annotations

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
