"""An object that is written whole or not at all, from bytes of unknown length."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from gantry.beats import beat_again
from gantry.calls_that_hang import call_hearing, find_check
from gantry.errors import FailedPrecondition, NotFound, PermissionDenied, StatusError, Unimplemented
from gantry.resources import ObjectMeta
from gantry.storage.remote.client import Client
from gantry.storage.remote.notes import Notes
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.provider import CopiesParts, Provider
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)

PART_BYTES = 8 << 20  # Amazon's least is 5 MiB; each is held in memory until it is written
_MOST_PARTS = 10_000
_DOUBLED_EVERY = 2000
"""Parts of one size; the next ones have twice as many bytes, so that an object may have 496 GiB."""


def write_object(client: Client, key: str, chunks: Iterable[bytes], notes: Notes | None = None) -> int:
    """Write an object; the number of bytes. What ``chunks`` raises goes on unchanged, and no part is left behind but of
    an upload that is in ``notes``."""
    parts = cut_parts(chunks)
    first = next(parts)
    second = next(parts, None)
    if second is None:
        client.put(key, first)
        return len(first)
    return _write_parts(client, key, _chain(first, second, parts), notes)


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _write_parts(client: Client, key: str, parts: Iterator[bytes], notes: Notes | None) -> int:
    provider = client.provider
    with _upload(client, key, notes) as upload:
        size, tags = 0, []
        for number, part in enumerate(parts, 1):
            if number > _MOST_PARTS:
                raise FailedPrecondition(f"the object has more than {size} bytes, too many for the object storage")
            tags.append(client.call(partial(provider.put_part, key, upload, number, part)))
            size += len(part)
        client.call(partial(provider.end_parts, key, upload, tags))
        return size


def copy_object(client: Client, source: RemotePlace, found: ObjectMeta, key: str, notes: Notes | None = None) -> None:
    """A copy by the provider itself, from a bucket that it can copy from. No part is left behind but of an upload that
    is in ``notes``."""
    provider: Provider = client.provider
    in_parts = provider if isinstance(provider, CopiesParts) else None
    if in_parts is None or found.size <= in_parts.most_copied:
        client.call(partial(provider.copy, source, found, key))
        return
    with _upload(client, key, notes) as upload:
        tags = []
        for number, offset in enumerate(range(0, found.size, in_parts.copied_part), 1):
            length = min(in_parts.copied_part, found.size - offset)
            tags.append(client.call(partial(in_parts.copy_part, source, found, key, upload, number, offset, length)))
            beat_again()
        client.call(partial(provider.end_parts, key, upload, tags))


@contextmanager
def _upload(client: Client, key: str, notes: Notes | None) -> Iterator[str]:
    """An upload in parts, which the block ends. Where it raises, the parts are removed."""
    with _begin(client, key, notes) as upload:
        try:
            yield upload
        except BaseException:
            with suppress(StatusError):  # the error of the object is the one to report; its note stays
                _drop_upload(client, notes, key, upload)
            raise
        if notes is not None:
            notes.remove(key, upload)


@contextmanager
def _begin(client: Client, key: str, notes: Notes | None) -> Iterator[str]:
    """An upload in parts; its name. The key is written down first, so that an upload is found whose name a crash, or an
    answer that is lost, keeps from us."""
    tries = 0

    def ask() -> str:
        nonlocal tries
        tries += 1
        return client.provider.begin_parts(key)

    if notes is None:
        yield client.call(ask)
        return
    notes.add(key)
    is_alone = False
    try:
        upload = client.call(ask)
        _note(client, notes, key, upload)
        if is_alone := tries == 1:
            notes.remove(key)
        yield upload
    finally:
        if not is_alone:
            with suppress(StatusError):  # then the note stays
                drop_unnamed(client, key)
                notes.remove(key)


def _note(client: Client, notes: Notes, key: str, upload: str) -> None:
    try:
        notes.add(key, upload)
    except BaseException:
        with suppress(StatusError):
            _drop_upload(client, notes, key, upload)
        raise


def drop_unnamed(client: Client, key: str, check: Check | None = None) -> None:
    """End uploads of exactly this key that have no part: those that were begun and nobody knows how they are called.
    Nothing is tried again. Where the server may not look for them, a lifecycle rule of the bucket ends them."""
    provider = client.provider
    try:
        found = call_hearing(partial(provider.find_begun, key), check or find_check())
    except (FailedPrecondition, PermissionDenied, Unimplemented) as error:
        logger.warning("an upload in parts, without any part, may be left: %s", error.message)
        return
    for upload in found:
        with suppress(NotFound):  # it has ended meanwhile
            call_hearing(partial(provider.drop_parts, key, upload), check or find_check())


def _drop_upload(client: Client, notes: Notes | None, key: str, upload: str) -> None:
    """Remove the parts of an object that will not be whole, unless they are gone; then nobody need know of it."""
    with suppress(NotFound):
        client.call(partial(client.provider.drop_parts, key, upload))
    if notes is not None:
        notes.remove(key, upload)


def cut_parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Parts of the sizes that an upload may have; one empty part for no bytes at all."""
    held = bytearray()
    number = 0
    for chunk in chunks:
        held += chunk
        while len(held) > (wanted := _size_of_part(number)):
            yield bytes(held[:wanted])
            del held[:wanted]
            number += 1
    yield bytes(held)


def _size_of_part(number: int) -> int:
    return PART_BYTES << (number // _DOUBLED_EVERY)
