"""The buckets that the settings reach at a provider of object storage: which address is which bucket there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from gantry.errors import InvalidArgument
from gantry.storage.remote.place import RemotePlace
from gantry.storage.uris import StorageUri, address_of_bucket

_MOST_CONCURRENCY = 1000
_PROVIDERS = {"s3": "s3"}
"""By the scheme of an address: what reaches such a bucket unless the settings say it."""
_OWN_KEYS = {
    "s3": frozenset(
        (
            *("region", "profile", "access_key_id", "secret_access_key", "session_token", "path_style"),
            *("requester_pays", "checksums", "bulk_delete"),
        )
    ),
    "gcs": frozenset(("credentials_file", "billing_project")),
}
"""By provider: what only its entries may say. All other keys are of every provider."""


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
        provider = given.setdefault("provider", _PROVIDERS.get(address_of_bucket(name).partition("://")[0], ""))
        if provider not in _OWN_KEYS:
            raise InvalidArgument(f"remote_buckets: {name!r} needs provider = {' or '.join(_OWN_KEYS)}")
        _check_provider(name, provider, given)
        _check_together(name, given)
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


def _check_provider(name: str, provider: str, given: Mapping[str, Any]) -> None:
    for owner, keys in _OWN_KEYS.items():
        if owner != provider and (found := sorted(keys & given.keys())):
            raise InvalidArgument(
                f"remote_buckets: {', '.join(found)} of {name!r} is of provider {owner}; this one is {provider}"
            )


def _check_together(name: str, given: Mapping[str, Any]) -> None:
    if bool(given.get("access_key_id")) != bool(given.get("secret_access_key")):
        raise InvalidArgument(f"remote_buckets: {name!r} needs access_key_id and secret_access_key together")
    if given.get("anonymous") and any(map(given.get, ("access_key_id", "profile", "credentials_file"))):
        raise InvalidArgument(f"remote_buckets: {name!r} is anonymous and has credentials; leave one of them out")
    if not str(given.get("endpoint", "https://")).startswith(("http://", "https://")):
        raise InvalidArgument(f"remote_buckets: endpoint of {name!r} begins with https:// or http://")
    if given.get("concurrency", 1) not in range(1, _MOST_CONCURRENCY + 1):
        raise InvalidArgument(f"remote_buckets: concurrency of {name!r} is from 1 to {_MOST_CONCURRENCY}")


_FIELDS = {each.name: each for each in fields(RemotePlace)}
_SECRETS = frozenset(name for name, each in _FIELDS.items() if not each.repr)


def _fits(key: str, item: object) -> bool:
    """Whether a value has the type of the field."""
    about = _FIELDS.get(key)
    if about is None or key == "address":
        return False
    default = "" if about.default is MISSING else about.default
    return type(item) is bool if default is None else type(item) is type(default)
