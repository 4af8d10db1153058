"""What an entry of ``remote_buckets`` may say for each provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gantry.errors import InvalidArgument
from gantry.storage.remote.azure_signing import Sas, SharedKey

_COMMON = frozenset(
    (
        *("provider", "bucket", "endpoint", "anonymous", "instance_metadata", "ca_file", "storage_class"),
        *("is_sorted", "concurrency"),
    )
)
_OF_S3 = ("region", "profile", "access_key_id", "secret_access_key", "session_token", "path_style")
CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
TIERS = ("Hot", "Cool", "Cold", "Archive")
_SECRETS: tuple[tuple[str, Callable[[str, str], object], str], ...] = (
    ("account_key", SharedKey, "key of an account"),
    ("sas_token", Sas, "shared access signature: it holds sig=, and no address"),
)
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")


class ProviderSettings(NamedTuple):
    """``scheme`` is that of addresses that need no ``provider``; ``gs://`` is none, since it may be a directory.
    ``complete`` raises InvalidArgument, and gives what follows from what is said."""

    scheme: str
    keys: frozenset[str]
    complete: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def _complete_s3(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if bool(given.get("access_key_id")) != bool(given.get("secret_access_key")):
        raise InvalidArgument(f"remote_buckets: {name!r} needs access_key_id and secret_access_key together")
    if given.get("anonymous") and (given.get("access_key_id") or given.get("profile")):
        raise InvalidArgument(f"remote_buckets: {name!r} is anonymous and has credentials; leave one of them out")
    if given.get("session_token") and not given.get("access_key_id"):
        raise InvalidArgument(f"remote_buckets: session_token of {name!r} needs access_key_id")
    if given.get("instance_metadata") and given.get("access_key_id"):
        raise InvalidArgument(f"remote_buckets: {name!r} needs no credentials of instance_metadata; leave it out")
    return {}


def _complete_gcs(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if given.get("anonymous") and given.get("credentials_file"):
        raise InvalidArgument(f"remote_buckets: {name!r} is anonymous and has credentials; leave one of them out")
    if given.get("instance_metadata") and given.get("credentials_file"):
        raise InvalidArgument(f"remote_buckets: {name!r} needs no credentials of instance_metadata; leave it out")
    if given.get("anonymous") and given.get("billing_project"):
        raise InvalidArgument(f"remote_buckets: billing_project of {name!r} needs credentials; nobody pays anonymously")
    _check_class(name, given, CLASSES)
    return {}


def _check_class(name: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    if given.get("storage_class", known[0]) not in known:
        raise InvalidArgument(f"remote_buckets: storage_class of {name!r} is one of {', '.join(known)}")


def _complete_azure(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    account = given.get("account", "")
    if not _ACCOUNT.fullmatch(account):
        raise InvalidArgument(f"remote_buckets: {name!r} needs the account that the container belongs to")
    if sum(bool(given.get(key)) for key in ("account_key", "sas_token", "anonymous")) > 1:
        raise InvalidArgument(f"remote_buckets: {name!r} needs only one of account_key, sas_token and anonymous")
    if given.get("instance_metadata") and (given.get("account_key") or given.get("sas_token")):
        raise InvalidArgument(f"remote_buckets: {name!r} needs no credentials of instance_metadata; leave it out")
    for key, access, words in _SECRETS:
        try:
            if given.get(key):
                access(account, given[key])
        except ValueError:
            raise InvalidArgument(f"remote_buckets: {key} of {name!r} is no {words}") from None
    _check_class(name, given, TIERS)
    return {} if given.get("endpoint") else {"endpoint": f"https://{account}.blob.core.windows.net"}


PROVIDERS = {
    "s3": ProviderSettings("s3", _COMMON | {*_OF_S3, "requester_pays", "checksums", "bulk_delete"}, _complete_s3),
    "gcs": ProviderSettings("", _COMMON | {"credentials_file", "billing_project"}, _complete_gcs),
    "azure": ProviderSettings("az", _COMMON | {"account", "account_key", "sas_token"}, _complete_azure),
}


def find_provider(scheme: str) -> str:
    """What reaches a bucket unless the settings say it; "" where they must."""
    return next((name for name, each in PROVIDERS.items() if each.scheme == scheme), "")


def complete(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an entry says, and what follows from it. Raises InvalidArgument for what its provider does not have."""
    about = PROVIDERS[given["provider"]]
    foreign = sorted(given.keys() - about.keys)
    if foreign:
        raise InvalidArgument(f"remote_buckets: {foreign[0]} of {name!r} has no effect with {given['provider']}")
    return {**given, **about.complete(name, given)}
