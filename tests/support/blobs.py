"""What lies on the disk of a server, found without its index: files of their own, and instances inside segments.

An instance inside a segment is found by its beginning, so one that no table of contents lists is found too.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gantry.errors import NotFound
from gantry.storage.contents import MAGIC, read_tables
from gantry.storage.extents import ALIGNMENT, SUFFIX, Extent, align, parse_extent
from gantry.storage.local import LocalBlobStore


class BlobOnDisk(NamedTuple):
    """The bytes of one instance: ``length`` bytes of a file from ``offset`` on."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)

    def write(self, data: bytes, at: int = 0) -> None:
        """Put other bytes in place of its own; not more than it has."""
        assert at + len(data) <= self.length
        with self.path.open("r+b") as file:
            file.seek(self.offset + at)
            file.write(data)

    def remove(self) -> None:
        """As if its bytes were lost: the file, or zeros where others share it."""
        if self.path.suffix == SUFFIX:
            self.write(bytes(self.length))
        else:
            self.path.unlink()


def find_blobs(root: Path) -> dict[str, BlobOnDisk]:
    """Every blob below a directory of blobs, by its key; directories and files may vanish meanwhile."""
    found: dict[str, BlobOnDisk] = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            key = os.path.relpath(path, root)
            with suppress(FileNotFoundError, NotFound):
                if name.endswith(SUFFIX):
                    found |= _find_in_segment(root, path, key)
                elif "/" in key:  # not the mark of a storage class's directory
                    found[key] = BlobOnDisk(path, 0, path.stat().st_size)
    return found


def read_blobs(root: Path) -> dict[str, bytes]:
    """The bytes of every blob, by its key; without those that a running server freed since they were found."""
    read = {}
    for key, blob in find_blobs(root).items():
        with suppress(FileNotFoundError):
            read[key] = blob.read()
    return read


def used_bytes(root: Path) -> int:
    """The bytes of all files below a directory that are no holes, in whole blocks; files may vanish meanwhile.

    ``du`` shows more where a file has many holes: a file system needs blocks of its own to say where its parts lie.
    """
    total = 0
    for directory, _, names in os.walk(root):
        for name in names:
            if name.endswith((".generation", ".stores")):  # of a place, beside its blobs
                continue
            with suppress(FileNotFoundError):
                total += _data_bytes(Path(directory, name))
    return total


def _data_bytes(path: Path) -> int:
    if not path.is_file():  # other tests put pipes in the places of blobs: opening one waits for a writer
        return 0
    with path.open("rb") as file:
        total = end = 0
        size = os.fstat(file.fileno()).st_size
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole follows
                    break
                raise
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            total += align(end - start)
        return total


def _find_in_segment(root: Path, path: Path, key: str) -> dict[str, BlobOnDisk]:
    data = path.read_bytes()
    lengths = _lengths(root, key)
    starts = [at for at in range(0, len(data), ALIGNMENT) if data[at + 128 : at + 132] == b"DICM"]
    tables = [at for at in range(0, len(data), ALIGNMENT) if data.startswith(MAGIC, at)]
    ends = sorted({*starts, *tables, len(data)})
    found = {}
    for start in starts:
        following = ends[bisect(ends, start)]
        length = lengths.get(start, following - start)
        found[str(Extent(key, start, length))] = BlobOnDisk(path, start, length)
    return found


def _lengths(root: Path, key: str) -> dict[int, int]:
    """Of what the tables of contents list, by its offset."""
    with LocalBlobStore(str(root)).open(key) as opened:
        entries = [entry for table in read_tables(opened) for entry in table.entries]
    extents = [extent for entry in entries if (extent := parse_extent(entry.key))]
    return {extent.offset: extent.length for extent in extents}
