"""How far a listing has come: ``KEY``, or ``KEY NUL DIRECTORY/ NUL DIRECTORY/ …``.

The directories are those around the key that were reported because they cannot be listed to their end: they are listed
again, but not reported again. NUL is in no key and sorts before all that is, so that nothing is between both forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import attrgetter

from gantry.resources import ObjectMeta

_NUL = "\0"
_PROBLEM_OF = attrgetter("problem")


def advance(checkpoint: str, entry: ObjectMeta) -> str:
    """The checkpoint behind ``entry``. A directory that fails half way comes after the objects in it: the checkpoint
    never goes back."""
    if _is_plain(checkpoint) and not entry.problem:
        return max(checkpoint, entry.key, key=_encode)  # nearly always
    last, *reported = checkpoint.split(_NUL)
    if _encode(entry.key) > _encode(last):
        last, before = entry.key, last
        reported += [before] if before.endswith("/") else []
    elif entry.problem and last.startswith(entry.key):
        reported.append(entry.key)
    return _NUL.join((last, *(each for each in reported if last.startswith(each))))


def advance_past(checkpoint: str, entries: Sequence[ObjectMeta]) -> str:
    """As ``advance`` for each of some entries, which are in the order of their listing."""
    if entries and _is_plain(checkpoint) and not any(map(_PROBLEM_OF, entries)):
        return advance(checkpoint, entries[-1])  # the last key is the greatest
    return reduce(advance, entries, checkpoint)


def _is_plain(checkpoint: str) -> bool:
    """Whether it is the key of an object, and nothing else."""
    return _NUL not in checkpoint and not checkpoint.endswith("/")


def _encode(key: str) -> bytes:
    """Keys sort by their bytes; those that are not UTF-8 are as the file system has them."""
    return key.encode("utf-8", "surrogateescape")


def list_reported(checkpoint: bytes) -> list[bytes]:
    """The directories that were reported; the last key may be one of them."""
    return checkpoint.split(b"\0")
