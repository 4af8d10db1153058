"""Instances as one ZIP archive, written while it is sent. Memory holds one piece and the names of the entries."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, cast

from gantry.studies.retrieve import Piece

ZIP = "application/zip"
_PIECE = 1 << 20
_ZIP64_VERSION = 45  # APPNOTE.TXT 4.4.3.2


def zip_instances(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """An archive of ``STUDY/SERIES/INSTANCE.dcm``. After an error it has no central directory, so that readers see that
    it is incomplete.

    Entries are deflated at level 0, which adds five bytes to 64 KiB: readers of a stream must find the end of each
    entry, and ZIP allows that only for deflated entries (APPNOTE.TXT 4.4.4, bit 3). Sizes are 64 bits wide.
    """
    out = _Sink()
    archive = zipfile.ZipFile(cast(Any, out), "w", zipfile.ZIP_DEFLATED, compresslevel=0)
    entry: IO[bytes] | None = None
    try:
        for piece in pieces:
            if (row := piece.begins) is not None:
                if entry is not None:
                    entry.close()
                entry = archive.open(_describe_entry(f"{'/'.join(row.uids)}.dcm"), "w", force_zip64=True)
            assert entry is not None  # noqa: S101 - the first piece has ``begins``
            entry.write(piece.data)
            yield from out.take(_PIECE)
        if entry is not None:
            entry.close()
        archive.close()
    except BaseException:
        with suppress(Exception):  # its output is discarded
            if entry is not None:
                entry.close()
            archive.close()
        raise
    yield from out.take()


def _describe_entry(name: str) -> zipfile.ZipInfo:
    """Of an entry whose sizes are 64 bits wide: early versions of Python 3.11 forget to say so."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.extract_version = info.create_version = _ZIP64_VERSION
    setattr(info, "_compresslevel", 0)  # noqa: B010 - public as compress_level from Python 3.13 on
    return info


class _Sink:
    """A file that cannot seek: the archive writes to it and the response takes from it."""

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
        """All bytes held, if there are more than ``least``."""
        if self._size > least:
            data, self._held, self._size = b"".join(self._held), [], 0
            yield data
