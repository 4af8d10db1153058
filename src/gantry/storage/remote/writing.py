"""An object that is written whole or not at all, from bytes of unknown length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial

from gantry.errors import FailedPrecondition, NotFound, StatusError
from gantry.storage.remote.client import Client
from gantry.storage.remote.notes import UploadNotes

PART_BYTES = 8 << 20  # Amazon's least is 5 MiB; each is held in memory until it is written
_MOST_PARTS = 10_000
_DOUBLED_EVERY = 2000
"""Parts of one size; the next ones have twice as many bytes, so that an object may have 496 GiB."""


def write_object(client: Client, key: str, chunks: Iterable[bytes], notes: UploadNotes | None = None) -> int:
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


def _write_parts(client: Client, key: str, parts: Iterator[bytes], notes: UploadNotes | None) -> int:
    provider = client.provider
    upload = client.call(partial(provider.begin_parts, key))
    size, tags = 0, []
    try:
        if notes is not None:
            notes.add(key, upload)
        for number, part in enumerate(parts, 1):
            if number > _MOST_PARTS:
                raise FailedPrecondition(f"the object has more than {size} bytes, too many for the object storage")
            tags.append(client.call(partial(provider.put_part, key, upload, number, part)))
            size += len(part)
        client.call(partial(provider.end_parts, key, upload, tags))
    except BaseException:
        with suppress(StatusError):  # the error of the object is the one to report; its note stays
            _drop_upload(client, notes, key, upload)
        raise
    if notes is not None:
        notes.remove(key, upload)
    return size


def _drop_upload(client: Client, notes: UploadNotes | None, key: str, upload: str) -> None:
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
