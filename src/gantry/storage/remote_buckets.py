"""The buckets that the settings reach at a provider of object storage: which address is which bucket there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from gantry.errors import InvalidArgument
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.settings import PROVIDERS, complete, find_provider
from gantry.storage.uris import StorageUri, address_of_bucket

_MOST_CONCURRENCY = 1000
_MOST_SHOWN = 100  # characters of what is wrong
_LAST_PORT = 65535
_NO_LETTER = "\x7f"  # in no name of a bucket
_TYPES: Mapping[type, str] = {str: "a text in quotes", bool: "true or false, without quotes", int: "a whole number"}


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
            raise InvalidArgument('remote_buckets: each needs the name of a bucket, name = "s3://NAME"')
        name = value["name"]
        given = {key: item for key, item in value.items() if key != "name"}
        _check_name(name)
        for key, item in given.items():
            _check_type(name, key, item)
        provider = given.setdefault("provider", find_provider(address_of_bucket(name).partition("://")[0]))
        if provider not in PROVIDERS:
            known = " or ".join(f'"{each}"' for each in PROVIDERS)
            raise InvalidArgument(f"remote_buckets: {name!r} needs provider = {known}")
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
        raise InvalidArgument(
            f"remote_buckets: {name!r} is an object, not a bucket", advice="leave out what follows the bucket"
        )


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
    port = urlsplit(endpoint).netloc.rpartition(":")[2]
    if port.isdecimal() and not 0 < int(port) <= _LAST_PORT:
        raise InvalidArgument(f"remote_buckets: the port in the endpoint of {name!r} is from 1 to {_LAST_PORT}")
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


def _check_type(name: str, key: str, item: object) -> None:
    """Raises InvalidArgument. The value of a key that nobody knows is not shown: it may be a secret."""
    about = _FIELDS.get(key)
    if about is None or key == "address":
        near = get_close_matches(key, _FIELDS.keys() - {"address"}, 1)
        advice = f"write {near[0]}" if near else "all keys are in docs/howto/buckets.md"
        raise InvalidArgument(f"remote_buckets: {key[:_MOST_SHOWN]} of {name!r} is no key of an entry", advice=advice)
    wanted = type("" if about.default is MISSING else about.default)
    wanted = bool if about.default is None else wanted
    if type(item) is not wanted:
        shown = "its value" if key in _SECRETS else repr(item)[:_MOST_SHOWN]
        raise InvalidArgument(f"remote_buckets: {key} = {shown} of {name!r} is not {_TYPES[wanted]}")
    if item == "":
        raise InvalidArgument(
            f'remote_buckets: {key} = "" of {name!r} says nothing',
            advice="give it a value, or leave it out" if key != "bucket" else "name the bucket at the provider",
        )


def require_effect(entries: Sequence[RemoteBuckets]) -> None:
    """Raises InvalidArgument for an entry that none of its addresses reaches: the first that covers one counts."""
    for at, each in enumerate(entries):
        first = next((one for one in entries[:at] if _covers_all(one, each.name)), None)
        if first is not None:
            raise InvalidArgument(
                f"remote_buckets: {each.name!r} has no effect: {first.name!r} stands before it, and the first that "
                "covers a bucket counts",
                advice="leave one of them out" if first.name == each.name else "write the narrower one first",
            )


def _covers_all(one: RemoteBuckets, name: str) -> bool:
    """Whether an entry covers all that a name with wildcards stands for: nothing, something and much for each."""
    tried = (name.replace("*", _NO_LETTER * length).replace("?", _NO_LETTER) for length in (0, 1, 300))
    return all(one.covers(address_of_bucket(each)) for each in tried)
