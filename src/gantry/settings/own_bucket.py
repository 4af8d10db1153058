"""The bucket that holds the bytes of stored instances, as the settings say it, and the faults of what they say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gantry.errors import InvalidArgument
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.settings import MUST_BE_RESTORED, find_wrong_tier
from gantry.storage.remote_buckets import RemoteBuckets, find_remote
from gantry.storage.uris import StorageUri


class OwnBucket(NamedTuple):
    """``address`` has no ``/`` at its end. ``prefix`` is what all keys begin with: empty, or ending in ``/``.
    ``tiers``: storage class → tier."""

    address: str
    place: RemotePlace
    prefix: str
    tiers: Mapping[str, str]

    def tier_of(self, place: str) -> str:
        """That of new objects of a place; empty for the bucket's own."""
        return self.tiers.get(place, self.place.storage_class)

    def overlaps(self, place: RemotePlace, prefix: str) -> bool:
        """Whether a key that begins with ``prefix`` in another bucket of the settings may be one of ours."""
        if _identify(place) != _identify(self.place):
            return False
        return prefix.startswith(self.prefix) or self.prefix.startswith(prefix)


def _identify(place: RemotePlace) -> tuple[str, str, str]:
    return place.provider, place.endpoint, place.bucket


def find_own_bucket(blobs: str, tiers: Mapping[str, str], remote: Sequence[RemoteBuckets]) -> OwnBucket | None:
    """None where the instances lie in directories. Raises InvalidArgument."""
    if not blobs:
        if tiers:
            raise InvalidArgument("storage_tiers: has no effect without blobs, the bucket whose tiers they are")
        return None
    asked = StorageUri.parse(blobs)
    place = find_remote(remote, asked.bucket)
    if place is None:
        raise InvalidArgument(
            f"blobs: no entry of remote_buckets reaches {asked.bucket}",
            advice=f'write one with name = "{asked.bucket}", provider and credentials: docs/howto/buckets.md',
        )
    if place.storage_class in MUST_BE_RESTORED:
        raise InvalidArgument(
            f"blobs: the entry of remote_buckets for {asked.bucket} has storage_class = {place.storage_class}, whose "
            "objects cannot be read",
            advice="leave it out there, and name a class for it in storage_tiers",
        )
    for storage_class, tier in tiers.items():
        if wanted := find_wrong_tier(place, tier):
            raise InvalidArgument(f"storage_tiers: {tier!r} of {storage_class} is not {wanted}")
    prefix = asked.key.rstrip("/")
    address = f"{asked.bucket}/{prefix}" if prefix else asked.bucket
    return OwnBucket(address, place, f"{prefix}/" if prefix else "", tiers)


def check_own_bucket(bucket: OwnBucket | None, directories: Collection[str], layout: str) -> None:
    """Beside other settings: ``directories`` are the classes with one of their own. Raises InvalidArgument."""
    if bucket is None:
        return
    if both := sorted(bucket.tiers.keys() & set(directories)):
        raise InvalidArgument(f"storage_classes, storage_tiers: {both[0]} is in both; it can only have one place")
    if layout == "files":
        raise InvalidArgument(
            "layout: files is of directories: in a bucket small instances always share objects, because each object "
            "costs a request",
            advice="leave layout or blobs out",
        )
