"""What pages for administrators show of the server that they are on: its settings, buckets and disks. Values only; the
wiring makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from gantry.seams import Bucket


class Source(StrEnum):
    """Where the value of a setting comes from; a later one wins."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    OPTION = "option"


class ShownSetting(NamedTuple):
    """``value`` is as people write it in the settings file, and says nothing of what is secret; "" where nothing is
    set. ``about`` is the meaning in docs/settings.md, in Markdown; ``absent``: what holds where nothing is set."""

    name: str
    value: str
    source: Source
    about: str
    absent: str = ""


class SettingGroup(NamedTuple):
    title: str
    settings: Sequence[ShownSetting]


class BucketGrant(NamedTuple):
    """A rule of ``bucket_rules``: what ``datasets`` (full names; () for all) may do below ``prefix``."""

    reads: bool
    writes: bool
    prefix: str = ""
    datasets: tuple[str, ...] = ()

    def covers(self, dataset: str) -> bool:
        """``dataset``: "" asks for any of them."""
        return not (dataset and self.datasets) or dataset in self.datasets


EVERYTHING = (BucketGrant(True, True),)
"""Without rules."""


class KnownBucket(NamedTuple):
    """A bucket that the settings name. ``provider`` is ``s3``, ``gcs`` or ``azure``; "" for a directory. ``where`` is
    for administrators alone: the path of the directory, or the endpoint and the name there. ``is_pattern``: an entry
    that stands for several buckets, which only their provider knows. ``holds_blobs``: the server's stored instances lie
    in it, too."""

    address: str
    provider: str
    where: str
    grants: tuple[BucketGrant, ...] = EVERYTHING
    is_pattern: bool = False
    holds_blobs: bool = False

    def find_grant(self, right: str, dataset: str = "") -> BucketGrant | None:
        """The first rule that lets a dataset, or with "" any, ``read`` or ``write``."""
        wanted = (each for each in self.grants if (each.reads if right == "read" else each.writes))
        return next((each for each in wanted if each.covers(dataset)), None)


class BucketCatalogue(Protocol):
    """The buckets of the settings, whoever may use them."""

    def list_known(self) -> Sequence[KnownBucket]: ...

    def reach(self, address: str, writer: str) -> Bucket:
        """Whatever the rules say. Raises NotFound, PermissionDenied, and Unavailable where nobody can say now what is
        there."""
        ...


class NoBuckets:
    """Where no settings are known."""

    def list_known(self) -> Sequence[KnownBucket]:
        return ()

    def reach(self, address: str, writer: str) -> Bucket:
        raise NotImplementedError


class DiskUse(NamedTuple):
    """A disk of this server. ``holds``: the places of stored instances on it, as in ``Seams.places``; ``has_index``:
    the index, too. ``directories`` are for administrators alone. ``total`` and ``free`` in bytes, None where the file
    system does not say, or gives no answer (``problem``)."""

    directories: tuple[str, ...]
    holds: tuple[str, ...] = ()
    has_index: bool = False
    total: int | None = None
    free: int | None = None
    problem: str = ""


class IndexUse(NamedTuple):
    """``where`` is a path, or the address of a database without a password."""

    where: str
    is_server: bool


NO_BUCKETS, NO_INDEX = NoBuckets(), IndexUse("", False)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """``audit_log`` is the path of the file, "" where there is none. ``blobs`` is the address of the bucket of stored
    instances, "" where they lie in directories. ``read_disks`` answers within seconds."""

    settings: Sequence[SettingGroup] = ()
    audit_log: str = ""
    blobs: str = ""
    buckets: BucketCatalogue = NO_BUCKETS
    read_disks: Callable[[], Sequence[DiskUse]] = lambda: ()
    index: IndexUse = NO_INDEX
