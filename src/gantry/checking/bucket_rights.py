"""What this server can do with a bucket: each right is tried, and one that is missing is named."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

from gantry.errors import DataLoss, FailedPrecondition, StatusError
from gantry.resources import ObjectMeta
from gantry.seams import Bucket
from gantry.sizes import format_count

_SAMPLE = 1000  # objects that are listed: one request
_READ_BYTES = 64 << 10
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE", "Archive")  # of Amazon, and of Azure
_TRIAL = b"Written by `gantry buckets check --write`, to try the rights of the server. It can be deleted.\n"


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
    yield from _try_writing(bucket, prefix, read.works is not False, holds_blobs) if write else ()


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


def _try_writing(bucket: Bucket, prefix: str, compare: bool, holds_blobs: bool) -> Iterator[Trial]:
    """A name of its own: nothing that is there is replaced. A bucket for exports alone may forbid to read."""
    key = f"{prefix}gantry-check-{secrets.token_hex(8)}.txt"

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
