"""Instances as one ZIP archive, made while it is sent. Memory holds a piece and the names of the entries."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, cast

from gantry.studies.retrieve import Piece

ZIP = "application/zip"
_PIECE = 1 << 20


def zip_instances(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """An archive of ``STUDY/SERIES/INSTANCE.dcm``. An error among the pieces ends it without its directory, so that no
    reader takes it for whole.

    Entries are deflated at level 0, which adds five bytes to 64 KiB: those who read an archive as it comes need to see
    where each entry ends, and ZIP has that for deflated ones only (APPNOTE.TXT 4.4.4, bit 3). Sizes are 64 bits wide.
    """
    out = _Sink()
    archive = zipfile.ZipFile(cast(Any, out), "w", zipfile.ZIP_DEFLATED, compresslevel=0)
    entry: IO[bytes] | None = None
    try:
        for piece in pieces:
            if (row := piece.begins) is not None:
                if entry is not None:
                    entry.close()
                entry = archive.open(f"{'/'.join(row.uids)}.dcm", "w", force_zip64=True)
            assert entry is not None  # noqa: S101 - the first piece of an instance says so
            entry.write(piece.data)
            yield from out.take(_PIECE)
        if entry is not None:
            entry.close()
        archive.close()
    except BaseException:
        with suppress(Exception):  # what it would still write goes nowhere
            if entry is not None:
                entry.close()
            archive.close()
        raise
    yield from out.take()


class _Sink:
    """What an archive writes to and a response reads from; it cannot go back."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes, /) -> int:
        self._held.append(bytes(data))
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        return

    def take(self, least: int = 0) -> Iterator[bytes]:
        """What there is, if it is more than ``least``."""
        if self._size > least:
            found, self._held, self._size = b"".join(self._held), [], 0
            yield found
