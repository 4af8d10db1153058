"""What a server's files were asked to hold, in order: ``journal.c`` records it in the server and in all its processes.

journal = Journal(memory / "journal", roots)
server = GantryServer(data, buckets, env=journal.env)
journal.note({"stored": …})  # what the client was answered, in the same order
for record in read_journal(journal.path): …
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.failing import build_library

Json = dict[str, Any]

_BEGIN = 4096  # struct control of journal.c, and room
_CONTROL = struct.Struct("=iiqq")
_RECORD = struct.Struct("=12q")  # struct record of journal.c
SYNC_MICROSECONDS = 500
"""So much longer takes a sync than in memory, so that an answer that does not wait for one comes before it."""


class Kind(IntEnum):
    CREATE = 1
    MKDIR = 2
    LINK = 3
    UNLINK = 4
    RMDIR = 5
    RENAME = 6
    WRITE = 7
    TRUNCATE = 8
    PUNCH = 9
    ALLOCATE = 10
    SYNC = 11
    SYNCFS = 12
    MAP = 13
    NOTE = 14
    STRANGE = 15


class Record(NamedTuple):
    """``number`` begins with 1. ``root`` is the number of the root, ``node`` and ``parent``, ``other`` are device and
    inode. A sync promises what stands in records up to ``begin``."""

    number: int
    kind: Kind
    root: int
    node: tuple[int, int]
    parent: tuple[int, int]
    other: tuple[int, int]
    offset: int
    length: int
    begin: int
    name: str
    other_name: str
    data: bytes

    @property
    def note(self) -> Json:
        found: Json = json.loads(self.data)
        return found


@cache
def _library() -> ctypes.CDLL:
    """The library in this process: it replaces nothing here, and shares the lock."""
    library = ctypes.CDLL(str(build_library("journal")))
    library.journal_note.argtypes = (ctypes.c_char_p, ctypes.c_int64)
    library.journal_open.argtypes = (ctypes.c_char_p,)
    return library


class Journal:
    """One at a time in a process. ``roots``: a directory is on the disk of the longest root that it lies in."""

    def __init__(self, path: Path, roots: Sequence[Path], pause: int = SYNC_MICROSECONDS) -> None:
        self.path, self.roots = path, list(roots)
        path.write_bytes(bytes(_BEGIN))
        self.env = {
            "LD_PRELOAD": str(build_library("journal")),
            "JOURNAL": str(path),
            "JOURNAL_ROOTS": ":".join(map(str, roots)),
            "JOURNAL_PAUSE": str(pause),
        }
        assert _library().journal_open(os.fsencode(path)) == 0

    def note(self, said: Json) -> None:
        text = json.dumps(said).encode()
        _library().journal_note(text, len(text))

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the block runs no process is between a change and its record: one may be killed."""
        _library().journal_lock()
        try:
            yield
        finally:
            _library().journal_unlock()


def read_journal(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        _, _, count, _ = _CONTROL.unpack(file.read(_CONTROL.size))
        file.seek(_BEGIN)
        for number in range(1, count + 1):
            yield _unpack(number, file.read(_RECORD.size), file.read)


def _unpack(number: int, head: bytes, read: Any) -> Record:
    kind, root, device, inode, parent, other, offset, length, begin, *sizes = _RECORD.unpack(head)
    name, other_name, data = (read(size) for size in sizes)
    nodes = ((device, inode), (device, parent), (device, other))
    return Record(
        *(number, Kind(kind), root, *nodes, offset, length, begin), os.fsdecode(name), os.fsdecode(other_name), data
    )
