"""What an entry of ``remote_buckets`` may say for each provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gantry.errors import InvalidArgument
from gantry.storage.remote.azure_signing import Sas, SharedKey
from gantry.storage.remote.place import RemotePlace

_COMMON = frozenset(
    (
        *("provider", "bucket", "endpoint", "anonymous", "instance_metadata", "ca_file", "storage_class"),
        *("is_sorted", "concurrency"),
    )
)
_OF_S3 = frozenset(
    (
        *("region", "profile", "access_key_id", "secret_access_key", "session_token", "path_style"),
        *("requester_pays", "checksums", "bulk_delete"),
    )
)
CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
TIERS = ("Hot", "Cool", "Cold", "Archive")
_S3_CLASSES = (
    *("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE"),
    "GLACIER_IR",
)
"""Of objects in ordinary buckets ("PutObject", Amazon S3 API Reference). Other servers have names of their own."""
_NAME_OF_TIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
MUST_BE_RESTORED = frozenset(("GLACIER", "DEEP_ARCHIVE", "Archive"))
"""Tiers whose objects cannot be read before they are restored, which takes hours."""
_SECRETS: tuple[tuple[str, Callable[[str, str], object], str], ...] = (
    ("account_key", SharedKey, "key of an account"),
    ("sas_token", Sas, "shared access signature: it holds sig=, and no address"),
)
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")


class ProviderSettings(NamedTuple):
    """``scheme`` is that of addresses that need no ``provider``; ``gs://`` is none, since it may be a directory.
    ``complete`` raises InvalidArgument, and gives what follows from what is said. ``tiers`` are those that objects can
    have."""

    scheme: str
    keys: frozenset[str]
    complete: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    tiers: Sequence[str]


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
    return {}


def _complete_azure(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    account = given.get("account", "")
    if not _ACCOUNT.fullmatch(account):
        raise InvalidArgument(
            f"remote_buckets: {name!r} needs the account that the container belongs to",
            advice='write account = "NAME", of 3 to 24 small letters and digits',
        )
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
    return {} if given.get("endpoint") else {"endpoint": f"https://{account}.blob.core.windows.net"}


PROVIDERS = {
    "s3": ProviderSettings("s3", _COMMON | _OF_S3, _complete_s3, _S3_CLASSES),
    "gcs": ProviderSettings("", _COMMON | {"credentials_file", "billing_project"}, _complete_gcs, CLASSES),
    "azure": ProviderSettings("az", _COMMON | {"account", "account_key", "sas_token"}, _complete_azure, TIERS),
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
    tier = given.get("storage_class", "")
    if tier and (wanted := _find_wrong_tier(given["provider"], given.get("endpoint", ""), tier)):
        raise InvalidArgument(f"remote_buckets: storage_class = {tier!r} of {name!r} is not {wanted}")
    return {**given, **about.complete(name, given)}


def find_wrong_tier(place: RemotePlace, tier: str) -> str:
    """Which tiers there are, where this is none of them; "" where it is. Of a server that only speaks S3 nobody knows
    them."""
    return _find_wrong_tier(place.provider, place.endpoint, tier)


def _find_wrong_tier(provider: str, endpoint: str, tier: str) -> str:
    if provider == "s3" and endpoint:
        return "" if _NAME_OF_TIER.fullmatch(tier) else "a name of letters, digits, _ and -"
    known = PROVIDERS[provider].tiers
    return "" if tier in known else f"one of {', '.join(known)}"
