"""Deletion of many objects: by one request where the server can, one by one where it cannot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from gantry.calls_ahead import call_ahead
from gantry.errors import StatusError, Unavailable
from gantry.storage.remote.client import Client

_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
"""What XML 1.0 cannot hold (§2.2) or reads as another character (§2.11): requests that delete many are XML."""

MOST_KEYS = 1000
"""Of one request that deletes many ("DeleteObjects", Amazon S3 API Reference)."""


def delete_keys(client: Client, keys: Sequence[str]) -> dict[str, StatusError]:
    """Delete at most so many. The errors of those that could not be deleted. Raises Unavailable, BucketAway."""
    if not client.place.bulk_delete or client.lacks_bulk_delete:
        return _delete_each(client, keys)
    writable = [key for key in keys if not _UNWRITABLE.search(key)]
    failed = _delete_at_once(client, writable)
    again = [key for key in keys if _UNWRITABLE.search(key)]
    again += [key for key, error in failed.items() if isinstance(error, Unavailable)]
    return {key: error for key, error in failed.items() if key not in set(again)} | _delete_each(client, again)


def _delete_at_once(client: Client, keys: Sequence[str]) -> dict[str, StatusError]:
    """A server that refuses the request may still delete each: from then on that is what it is asked for."""
    if not keys:
        return {}
    try:
        return client.call(partial(client.provider.delete_all, keys))
    except Unavailable:
        raise
    except StatusError:
        failed = _delete_each(client, keys)
        client.lacks_bulk_delete = len(failed) < len(keys)
        return failed


def _delete_each(client: Client, keys: Sequence[str]) -> dict[str, StatusError]:
    failed: dict[str, StatusError] = {}
    act = partial(_delete_one, client)
    with closing(call_ahead(act, keys, lambda _: 0, client.place.concurrency)) as outcomes:
        for key, outcome in outcomes:
            error = outcome()
            if error is not None and error.waits_for is not None:
                raise error
            if error is not None:
                failed[key] = error
    return failed


def _delete_one(client: Client, key: str) -> StatusError | None:
    try:
        client.delete(key)
    except StatusError as error:
        return error
    return None
