"""The buckets that the settings reach at a provider of object storage: which address is which bucket there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from gantry.errors import InvalidArgument
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.settings import PROVIDERS, complete, find_provider
from gantry.storage.uris import StorageUri, address_of_bucket

_MOST_CONCURRENCY = 1000


@dataclass(frozen=True, slots=True)
class RemoteBuckets:
    """``name`` is the name of a bucket of ``gs://``, or the address of any; it may hold ``*`` and ``?``. ``place`` says
    how such buckets are reached; its bucket is empty where each has the name in its address."""

    name: str
    place: RemotePlace

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> RemoteBuckets:
        """Read a table of the settings. Raises InvalidArgument, which names the fault."""
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str) or not value["name"]:
            raise InvalidArgument("remote_buckets: each needs the name of a bucket")
        name = value["name"]
        given = {key: item for key, item in value.items() if key != "name"}
        _check_name(name)
        for key, item in given.items():
            if not _fits(key, item):
                shown = "its value" if key in _SECRETS else repr(item)
                raise InvalidArgument(f"remote_buckets: {key} = {shown} of {name!r} is not understood")
        provider = given.setdefault("provider", find_provider(address_of_bucket(name).partition("://")[0]))
        if provider not in PROVIDERS:
            raise InvalidArgument(f"remote_buckets: {name!r} needs provider = {' or '.join(PROVIDERS)}")
        _check_values(name, given)
        given = dict(complete(name, given))
        if given.get("bucket") and _has_wildcard(name):
            raise InvalidArgument(f"remote_buckets: {name!r} stands for several buckets; leave out its bucket")
        return cls(name, RemotePlace(**({"bucket": "", "address": ""} | given)))

    def covers(self, address: str) -> bool:
        return fnmatchcase(address, address_of_bucket(self.name))


def find_remote(known: Sequence[RemoteBuckets], address: str) -> RemotePlace | None:
    """What an address is reached with, by the first entry that covers it; None where none does."""
    for each in known:
        if each.covers(address):
            bucket = each.place.bucket or address.partition("://")[2]
            return replace(each.place, address=address, bucket=bucket)
    return None


def list_remote(known: Sequence[RemoteBuckets]) -> list[str]:
    """The addresses of single buckets."""
    return [address_of_bucket(each.name) for each in known if not _has_wildcard(each.name)]


def _has_wildcard(name: str) -> bool:
    return "*" in name or "?" in name or "[" in name


def _check_name(name: str) -> None:
    plain = address_of_bucket(name)
    if "[" in name:
        raise InvalidArgument(f"remote_buckets: {name!r} may hold * and ? only")
    try:
        parsed = StorageUri.parse(plain.replace("*", "x").replace("?", "x"))
    except InvalidArgument as error:
        raise InvalidArgument(f"remote_buckets: {error.message}") from None
    if parsed.key:
        raise InvalidArgument(f"remote_buckets: {name!r} is an object, not a bucket")


def _check_values(name: str, given: Mapping[str, Any]) -> None:
    if given.get("instance_metadata") and given.get("anonymous"):
        raise InvalidArgument(f"remote_buckets: {name!r} needs no credentials of instance_metadata; leave it out")
    if given.get("ca_file") and str(given.get("endpoint", "")).startswith("http://"):
        raise InvalidArgument(f"remote_buckets: ca_file of {name!r} has no effect without https://")
    _check_texts(name, given)
    if given.get("concurrency", 1) not in range(1, _MOST_CONCURRENCY + 1):
        raise InvalidArgument(f"remote_buckets: concurrency of {name!r} is from 1 to {_MOST_CONCURRENCY}")


def _check_texts(name: str, given: Mapping[str, Any]) -> None:
    """What the clients of object storage would refuse with every request, or show to callers (user:password@)."""
    endpoint = str(given.get("endpoint", "https://host"))
    if not endpoint.startswith(("http://", "https://")):
        raise InvalidArgument(f"remote_buckets: endpoint of {name!r} begins with https:// or http://")
    if not _ENDPOINT.fullmatch(endpoint):
        raise InvalidArgument(
            f"remote_buckets: endpoint of {name!r} is https://HOST[:PORT], without a user, a query or a fragment"
        )
    for key, pattern in _TEXTS.items():
        if given.get(key) and not pattern.fullmatch(given[key]):
            raise InvalidArgument(f"remote_buckets: {key} = {given[key]!r} of {name!r} cannot be one")


_ENDPOINT = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_TEXTS = {
    "bucket": re.compile(r"[A-Za-z0-9._-]{1,255}"),
    "region": re.compile(r"(?![0-9]+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)"),
}
_FIELDS = {each.name: each for each in fields(RemotePlace)}
_SECRETS = frozenset(name for name, each in _FIELDS.items() if not each.repr)


def _fits(key: str, item: object) -> bool:
    """Whether a value has the type of the field."""
    about = _FIELDS.get(key)
    if about is None or key == "address":
        return False
    default = "" if about.default is MISSING else about.default
    return type(item) is bool if default is None else type(item) is type(default)
