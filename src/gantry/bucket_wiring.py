"""Wiring of buckets: from the address in a request to what reads and writes there. Beside ``config`` the only module
that names adapters."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from gantry.api.server_facts import EVERYTHING, BucketGrant, KnownBucket
from gantry.errors import FailedPrecondition, NotFound, PermissionDenied, StatusError
from gantry.libraries import is_installed
from gantry.seams import Bucket, BucketUse
from gantry.settings.directories import overlaps_data
from gantry.settings.loading import Settings
from gantry.settings.own_bucket import OwnBucket
from gantry.storage.bucket_rules import BucketRule, may_use, require_access
from gantry.storage.disks import Disk
from gantry.storage.local import LocalBlobStore
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.notes import Notes, UploadNotes
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.place_files import NAME, PlaceFiles
from gantry.storage.remote.shared_notes import SharedNotes
from gantry.storage.remote_buckets import RemoteBuckets, find_remote, list_remote
from gantry.storage.roots import identify_root
from gantry.storage.uris import BucketKind, address_of_bucket, is_bucket_name

logger = logging.getLogger(__name__)

_LOCAL = "gs://"
_LIBRARIES = {"s3": ("obstore", "botocore"), "gcs": ("google.auth", "urllib3"), "azure": ("urllib3",)}
_OWN, _NOTES = "blobs-", "uploads"
_ADVICE = "the administrator of the server can create it"


@dataclass(frozen=True, slots=True)
class Buckets:
    """``root`` is the directory of the buckets that no entry of ``remote`` covers; ``data`` is that of the server, and
    ``own`` the bucket of its stored instances, if they lie in one, which it may share with other servers."""

    data: Path
    root: str
    rules: Sequence[BucketRule]
    remote: Sequence[RemoteBuckets]
    own: OwnBucket | None = None
    shares: bool = False

    def kind_of(self, address: str) -> BucketKind:
        if find_remote(self.remote, address) is not None:
            return BucketKind.REMOTE
        return BucketKind.DIRECTORY if address.startswith(_LOCAL) else BucketKind.UNKNOWN

    def list(self, dataset: str, right: str) -> list[str]:
        """The addresses of the directories whose names a bucket can have, and of the remote buckets that are named."""
        directories = (entry.name for entry in os.scandir(self.root) if entry.is_dir() and is_bucket_name(entry.name))
        found = {f"{_LOCAL}{name}" for name in directories} | set(list_remote(self.remote))
        found = {each for each in found if not self._is_own(each)}
        return sorted(each for each in found if may_use(self.rules, each, right, dataset))

    def list_known(self) -> Sequence[KnownBucket]:
        """Those of the settings and of the directory, whoever may use them, and the entries that stand for several."""
        singles = replace(self, rules=()).list("", "read")
        patterns = [address_of_bucket(each.name) for each in self.remote if set(each.name) & set("*?")]
        return [self._describe(each) for each in singles] + [self._describe(each, True) for each in patterns]

    def _describe(self, address: str, is_pattern: bool = False) -> KnownBucket:
        place = find_remote(self.remote, address)
        rules = [each for each in self.rules if each.names(address)]
        grants = tuple(BucketGrant(each.read, each.write, each.prefix, each.datasets) for each in rules)
        where = os.path.join(self.root, address.removeprefix(_LOCAL)) if place is None else _locate(place, is_pattern)
        holds = self.own is not None and place is not None and not is_pattern and self.own.overlaps(place, "")
        provider = "" if place is None else place.provider
        return KnownBucket(address, provider, where, grants if self.rules else EVERYTHING, is_pattern, holds)

    def open(self, use: BucketUse) -> Bucket:
        """Raises PermissionDenied, then what ``reach`` raises."""
        require_access(self.rules, use)
        self._require_foreign(use)
        return self.reach(
            use.bucket, use.writer, f"operation {use.writer or 'none'} of {use.dataset}", self._find_notes(use)
        )

    def _is_own(self, address: str) -> bool:
        """Whether there is room for nothing but stored instances in a bucket."""
        place = find_remote(self.remote, address) if self.own is not None and not self.own.prefix else None
        return self.own is not None and place is not None and self.own.overlaps(place, "")

    def _require_foreign(self, use: BucketUse) -> None:
        """Stored instances are no objects of buckets. Raises PermissionDenied."""
        place = find_remote(self.remote, use.bucket)
        if self.own is not None and place is not None and self.own.overlaps(place, use.prefix):
            raise PermissionDenied(
                f"{use.bucket}/{use.prefix}: here this server keeps the bytes of its stored instances",
                advice="name another bucket, or a directory of this one that has none of them",
            )

    def reach(self, address: str, writer: str, purpose: str = "no operation", notes: Notes | None = None) -> Bucket:
        """Whatever the rules say. Raises NotFound, and BucketAway, DiskAway where nobody can say now what is there."""
        place = find_remote(self.remote, address)
        bucket = self._open_directory(address, writer) if place is None else RemoteBucket(place, notes)
        if not bucket.exists():
            # The path of a bucket is for the administrator of the server, not for callers.
            where = os.path.join(self.root, address.removeprefix(_LOCAL)) if place is None else place.bucket
            logger.warning("bucket %s does not exist (%s): it would be %s", address, purpose, where)
            raise NotFound(f"bucket {address} does not exist", advice=_ADVICE)
        return bucket

    def _find_notes(self, use: BucketUse) -> Notes | None:
        if not use.writer or use.right != "write":
            return None
        if self.own is not None and self.shares:
            return SharedNotes(self.own.place, f"{self.own.prefix}{_NOTES}/{use.writer}/", NAME)
        return UploadNotes(self.data / _NOTES / use.writer)

    def _open_directory(self, address: str, writer: str) -> Bucket:
        if not address.startswith(_LOCAL):
            raise NotFound(f"the settings of this server name no bucket {address}")
        path = os.path.join(self.root, address.removeprefix(_LOCAL))
        if overlaps_data(self.data, path):
            logger.error("bucket %s is a link to the server's own files; nobody may use it", address)
            raise PermissionDenied(
                f"bucket {address} is a link to files of the server itself", advice="remove the link"
            )
        disk = Disk(f"bucket {address}", os.fsencode(os.path.realpath(path)), is_bucket=True)
        return LocalBlobStore(path, writer, disk=disk, server=_identify_data(self.data))


def _locate(place: RemotePlace, is_pattern: bool) -> str:
    """Where a provider has a bucket, for the administrator of the server."""
    host = place.endpoint or place.account or place.region
    return " · ".join(filter(None, (host, "" if is_pattern else place.bucket)))


def open_place_files(settings: Settings) -> PlaceFiles | None:
    """The files about places in the bucket of stored instances; None where these lie in directories. Raises
    InvalidArgument, and FailedPrecondition where the libraries of its provider are not installed."""
    bucket = settings.own_bucket
    if bucket is None:
        return None
    require_libraries(settings.remote_buckets)
    return PlaceFiles(bucket.place, bucket.prefix, bucket.address)


class OwnUploads:
    """Notes of uploads in parts to the bucket of stored instances: each life of a server has a directory of its own, so
    that those of an earlier one can be told from those that go on."""

    def __init__(self, data: Path) -> None:
        self._above = data / _NOTES
        self.directory = self._above / f"{_OWN}{secrets.token_hex(8)}"

    def end_left(self, end: Callable[[Path], None]) -> None:
        """Remove the parts that earlier lives have left, in a thread of its own: the start does not wait for a bucket.
        What cannot be removed now is found by the next start. ``end`` removes what stands in a directory."""
        left = [each for each in sorted(self._above.glob(f"{_OWN}*")) if each != self.directory]
        if left:
            Thread(target=_end_uploads, args=(end, left), name="left uploads", daemon=True).start()


def _end_uploads(end: Callable[[Path], None], left: Sequence[Path]) -> None:
    for directory in left:
        try:
            end(directory)
        except StatusError as error:
            logger.warning("parts of uploads of stored instances are left: %s", error.what)


def _identify_data(data: Path) -> str:
    """Raises DiskAway."""
    root = os.fsencode(data)
    try:
        return identify_root(root)
    except OSError as error:
        raise Disk("the data directory", root).unseen(error) from None


def require_libraries(remote: Sequence[RemoteBuckets]) -> None:
    """Raises FailedPrecondition where the libraries of a provider are not installed, and where no file of Amazon has
    the profile that an entry names."""
    for each in remote:
        if not all(map(is_installed, _LIBRARIES[each.place.provider])):
            raise FailedPrecondition(
                f"remote_buckets: {each.name!r} needs libraries: pip install 'gantry-dicom[{each.place.provider}]'"
            )
        if each.place.profile:
            _require_profile(each)


def _require_profile(entry: RemoteBuckets) -> None:
    from gantry.storage.remote.credentials import list_profiles

    known = list_profiles()
    if entry.place.profile not in known:
        raise FailedPrecondition(
            f"remote_buckets: {entry.name!r} has profile = {entry.place.profile!r}; the files of Amazon's tools have "
            f"{', '.join(sorted(known)) or 'none'}",
            advice="name one that is there: in ~/.aws of the user that the server runs as, or in the files that "
            "AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name",
        )
