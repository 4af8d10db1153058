"""What this server can do with a bucket: each right is tried, and one that is missing is named."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

from gantry.errors import DataLoss, FailedPrecondition, StatusError
from gantry.resources import ObjectMeta
from gantry.seams import Bucket
from gantry.sizes import format_count

_SAMPLE = 1000  # objects that are listed: one request
_READ_BYTES = 64 << 10
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE", "Archive")  # of Amazon, and of Azure
_NAME, _STAMP = "gantry-check-", "%Y%m%dT%H%M%SZ"
_OF_TRIAL = re.compile(rf"{_NAME}([0-9]{{8}}T[0-9]{{6}}Z)-[0-9a-f]{{8}}\.txt")
_LONGEST, _MOST_LEFT = timedelta(hours=1), 100
"""A trial takes seconds, and minutes where a bucket hardly answers; so many objects of others are looked at."""
_TRIAL = b"Written by a check of buckets, to try the rights of the server. It can be deleted.\n"


class Trial(NamedTuple):
    """One right. ``works`` is None where it was not tried; ``detail`` says what came of it, or what failed.
    ``is_needed``: without it the bucket cannot be used as the settings say."""

    right: str
    works: bool | None
    detail: str
    is_needed: bool = True


@runtime_checkable
class KeepsFirst(Protocol):
    """A bucket whose provider may know the condition that there is no object of a name yet."""

    def keeps_first(self, key: str, data: bytes) -> bool: ...


def try_rights(bucket: Bucket, prefix: str, write: bool, holds_blobs: bool = False) -> Iterator[Trial]:
    """Try to list and to read, and with ``write`` to write and delete a small object below ``prefix``.
    ``holds_blobs``: the server's stored instances lie there."""
    objects: list[ObjectMeta] = []

    def list_some() -> str:
        objects.extend(islice(bucket.list(prefix), _SAMPLE))
        more = " or more" if len(objects) == _SAMPLE else ""
        archived = sum(map(_is_archived, objects))
        most = f", {archived:,} of them in an archive" if archived else ""
        return f"{format_count(len(objects), 'object')}{more}{most}"

    yield _try("list", list_some)
    readable = sorted((each for each in objects if not each.problem and each.size), key=_is_archived)
    read = _try_reading(bucket, next(iter(readable), None))
    yield read
    yield from try_writing(bucket, prefix, read.works is not False, holds_blobs) if write else ()


def _is_archived(found: ObjectMeta) -> bool:
    """Whether it can be read only once it is restored; one that is restored still says so."""
    return found.storage_class in _ARCHIVES


def _try_reading(bucket: Bucket, first: ObjectMeta | None) -> Trial:
    if first is None:
        return Trial("read", None, "there is no object to be read")
    return _try("read", lambda: _read(bucket, first))


def _read(bucket: Bucket, found: ObjectMeta) -> str:
    with bucket.open_found(found) as source:
        source.read_at(0, _READ_BYTES)
        return f"{found.key}, {found.size:,} bytes"


def try_writing(bucket: Bucket, prefix: str, compare: bool = True, holds_blobs: bool = False) -> Iterator[Trial]:
    """Write a small object below ``prefix`` and delete it. A name of its own: nothing that is there is replaced.
    ``compare``: read it again; a bucket for exports alone may forbid that. What earlier trials have left goes, too."""
    remove_left(bucket, prefix)
    key = f"{prefix}{_NAME}{datetime.now(UTC):{_STAMP}}-{secrets.token_hex(4)}.txt"

    def write() -> str:
        try:
            bucket.put(key, [_TRIAL])
            bucket.flush()
        except StatusError:
            with suppress(StatusError):  # it may be there: its answer was lost, or its bytes are others
                bucket.delete(key)
            raise
        return key

    def read_back() -> str:
        with bucket.open(key) as written:
            if written.read_at(0, len(_TRIAL) + 1) != _TRIAL:
                raise DataLoss("what was written comes back with other bytes")
        return f"{key}, with the bytes that were written"

    def delete() -> str:
        bucket.delete(key)
        return key

    written = _try("write", write)
    yield written
    if written.works and compare:
        yield _try("read back", read_back)
    if written.works and isinstance(bucket, KeepsFirst):
        yield _try_writing_once(bucket, key)._replace(is_needed=holds_blobs)
    yield _try("delete", delete) if written.works else Trial("delete", None, "nothing was written")


def remove_left(bucket: Bucket, prefix: str) -> None:
    """Delete the objects of trials that ended half way, because their server was killed. Where they cannot be listed,
    read or deleted they stay: their text says what they are."""
    with suppress(StatusError):
        for each in islice(bucket.list(f"{prefix}{_NAME}"), _MOST_LEFT):
            if _is_left(bucket, each, prefix):
                bucket.delete(each.key)


def _is_left(bucket: Bucket, found: ObjectMeta, prefix: str) -> bool:
    """Whether it is an object of a trial that nobody makes any more."""
    name = _OF_TRIAL.fullmatch(found.key.removeprefix(prefix))
    if name is None or found.size != len(_TRIAL):
        return False
    try:
        begun = datetime.strptime(name[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # a day that no calendar has
        return False
    if datetime.now(UTC) - begun < _LONGEST:
        return False
    with bucket.open_found(found) as source:
        return source.read_at(0, len(_TRIAL) + 1) == _TRIAL


def _try_writing_once(bucket: KeepsFirst, key: str) -> Trial:
    """By a second write with the same bytes: nobody loses anything where the condition is not known."""

    def write_again() -> str:
        if not bucket.keeps_first(key, _TRIAL):
            raise FailedPrecondition(
                "the server does not know If-None-Match: in a bucket of stored instances (blobs) a write whose answer "
                "is lost may be carried out late, and bring back bytes that were deleted meanwhile"
            )
        return "a second write of the same name is refused"

    return _try("write once", write_again)


def _try(right: str, act: Callable[[], str]) -> Trial:
    try:
        return Trial(right, True, act())
    except StatusError as error:
        return Trial(right, False, error.message)
