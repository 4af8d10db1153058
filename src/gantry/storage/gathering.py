"""The first bytes of an instance whose size nobody knows: they say where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from gantry.storage.freed import CHECKED

HELD_BYTES = 4 << 20
"""Bytes of an instance of unknown size that are held in memory; a larger one gets an object of its own, too."""


def gather(chunks: Iterable[bytes], most: int) -> tuple[list[bytes], Iterator[bytes]]:
    """So many chunks that they have ``most`` bytes, or all of them; and the others."""
    left = iter(chunks)
    held: list[bytes] = []
    size = 0
    while size < most and (chunk := next(left, None)) is not None:
        held.append(chunk)
        size += len(chunk)
    return held, left


def find_first_bytes(chunks: Sequence[bytes]) -> bytes:
    """As many as say whether a range was freed."""
    if chunks and len(chunks[0]) >= CHECKED:
        return chunks[0][:CHECKED]
    return b"".join(islice((chunk[:CHECKED] for chunk in chunks if chunk), CHECKED))[:CHECKED]
