"""Walking a directory tree in the order of object keys, in bounded memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from gantry.errors import PermissionDenied
from gantry.resources import ObjectMeta

TEMPORARY = b".~gantry-"
WINDOW = 100_000  # names of one directory held at once; a larger directory is read in several passes
_Entry = tuple[bytes, "os.DirEntry[bytes]"]


def walk(directory: bytes, base: bytes, prefix: bytes, start_after: bytes, depth: int | None) -> Iterator[ObjectMeta]:
    """Objects below ``directory``, whose key is ``base`` (empty or ending in ``/``), sorted by key bytes."""
    after = b""
    while True:
        entries, complete = _next_entries(directory, base, prefix, start_after, after)
        for name, entry in entries:
            key = base + name
            if name.endswith(b"/"):
                if depth is None or key.count(b"/") <= depth:
                    yield from _walk_readable(entry.path, key, prefix, start_after, depth)
            elif (found := _describe(entry, key)) is not None:
                yield found
        if complete:
            return
        after = entries[-1][0]


def crosses_link(root: bytes, path: bytes) -> bool:
    """True when a directory on the way from ``root`` to ``path`` is a symbolic link."""
    while path != root:
        if os.path.islink(path):
            return True
        path = os.path.dirname(path)
    return False


def _walk_readable(
    directory: bytes, base: bytes, prefix: bytes, start_after: bytes, depth: int | None
) -> Iterator[ObjectMeta]:
    try:
        yield from walk(directory, base, prefix, start_after, depth)
    except PermissionDenied as error:
        yield ObjectMeta(os.fsdecode(base), 0, error.message)


def _next_entries(
    directory: bytes, base: bytes, prefix: bytes, start_after: bytes, after: bytes
) -> tuple[list[_Entry], bool]:
    """The next entries of one directory in key order, and whether they are the last.

    A directory's name counts with its ``/``, which is what puts ``a.dcm`` before ``a/b.dcm``.
    """
    kept: list[_Entry] = []
    complete = True
    try:
        with os.scandir(directory) as found:
            for entry in found:
                name = entry.name + b"/" if entry.is_dir(follow_symlinks=False) else entry.name
                if name > after and _may_lead(base + name, prefix, start_after) and not name.startswith(TEMPORARY):
                    kept.append((name, entry))
                    if len(kept) >= 2 * WINDOW:
                        kept = _smallest(kept)
                        complete = False
    except (FileNotFoundError, NotADirectoryError):
        return [], True
    except PermissionError:
        raise PermissionDenied("the server may not list this directory; give its user read permission") from None
    kept.sort(key=_name)
    if not complete:
        return _smallest(kept), False
    return kept, True


def _smallest(entries: list[_Entry]) -> list[_Entry]:
    return sorted(entries, key=_name)[:WINDOW]


def _name(entry: _Entry) -> bytes:
    return entry[0]


def _may_lead(key: bytes, prefix: bytes, start_after: bytes) -> bool:
    """False when nothing at or below ``key`` can begin with ``prefix`` and sort after ``start_after``."""
    if key.endswith(b"/"):
        return (key.startswith(prefix) or prefix.startswith(key)) and (key > start_after or start_after.startswith(key))
    return key.startswith(prefix) and key > start_after


def _describe(entry: os.DirEntry[bytes], key: bytes) -> ObjectMeta | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    name = os.fsdecode(key)
    if stat.S_ISREG(found.st_mode):
        return ObjectMeta(name, found.st_size, "" if _is_utf8(key) else "the object's name is not UTF-8; rename it")
    if stat.S_ISLNK(found.st_mode):
        return ObjectMeta(name, 0, "is a symbolic link; links inside a bucket are not followed")
    return ObjectMeta(name, 0, "is not a regular file")


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
