"""Filter files: what was ticked or typed, written into a bucket, where it stays as a record of what was meant."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from gantry.calls_that_hang import giving_up
from gantry.console.page_call import PageCall
from gantry.console.refusals import Refused
from gantry.languages import _
from gantry.seams import BucketUse
from gantry.storage.uris import address_of_bucket, name_of_bucket, parse_prefix

MAX_FILTER = 8 << 20  # bytes of a typed filter, which a form holds in memory
_WRITE_SECONDS = 20.0  # for a bucket to take them


def list_buckets(call: PageCall, use: Literal["read", "write"]) -> list[str]:
    """The buckets of the dataset, as people name them. ``use``: "read" or "write"."""
    return [name_of_bucket(each) for each in call.context.seams.buckets(str(call.dataset), use)]


def read_destination(given: dict[str, str]) -> str:
    """The address of the bucket and the folder in a form. Raises InvalidArgument."""
    if not given.get("bucket"):
        raise Refused(_("choose a bucket in the list Location"))
    return str(parse_prefix(f"{address_of_bucket(given['bucket'])}/{given.get('prefix', '').lstrip('/')}"))


def name_studies(uids: Iterable[str]) -> list[str]:
    """The lines of studies."""
    return [f"/studies/{uid}" for uid in uids]


def name_filter() -> str:
    """The name of a new file."""
    return f"filter-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}.txt"


def write_filter(call: PageCall, permission: str, destination: str, lines: Iterable[str]) -> str:
    """Write the lines below ``destination``; the address of the file. Raises InvalidArgument, PermissionDenied."""
    data = ("\n".join(lines) + "\n").encode()
    if len(data) > MAX_FILTER:
        text = _("a filter of more than {count} MB must be a file in a bucket: give its path")
        raise Refused(text.format(count=MAX_FILTER >> 20))
    call.api.caller.require(f"healthcare.{permission}", call.store)
    place = parse_prefix(destination)
    name = name_filter()
    use = BucketUse(place.bucket, "write", place.key + name, str(call.dataset), "console")
    with giving_up(_WRITE_SECONDS, f"bucket {place.bucket}"):
        bucket = call.context.seams.bucket(use)
        bucket.put(place.key + name, [data])
        bucket.flush()
    return f"{place.bucket}/{place.key}{name}"
