"""Which uploads in parts one writer has begun, in files beside the index.

A provider lists the uploads of everybody who may write to a bucket and does not say whose each is, so what may be
ended after a crash is written down here: first the key alone, before an upload begins; then the upload, before the
first part of the object is sent, until the object is whole or its parts are gone. Where a crash comes between the two
the key is known, and that the upload has no parts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gantry.durable_files import make_directory, replace_file
from gantry.storage.disks import Disk

logger = logging.getLogger(__name__)

_UNWRITTEN = ".new"


class Notes(Protocol):
    """Those of one writer. ``add`` is durable on return, without an upload for one that is going to begin; ``list``
    yields keys and uploads, "" for one whose name is not known."""

    def add(self, key: str, upload: str = "") -> None: ...

    def remove(self, key: str, upload: str = "") -> None: ...

    def list(self) -> Iterator[tuple[str, str]]: ...

    def clear(self) -> None: ...


def name_note(key: str, upload: str) -> str:
    return hashlib.sha256(f"{upload} {key}".encode()).hexdigest()[:32]


def parse_note(data: bytes) -> tuple[str, str] | None:
    """Key and upload; None where a fault has spoilt it."""
    try:
        key, upload = json.loads(data)
    except (ValueError, TypeError):
        return None
    return str(key), str(upload)


@dataclass(frozen=True, slots=True)
class UploadNotes:
    """``directory`` is that of the writer, made with its first note."""

    directory: Path

    def add(self, key: str, upload: str = "") -> None:
        """Durable on return. Without an upload it is one that is going to begin. Raises ResourceExhausted, DiskAway,
        PermissionDenied, Unavailable."""
        path = self._find(key, upload)
        try:
            make_directory(self.directory)
            replace_file(path, path.with_suffix(_UNWRITTEN), json.dumps([key, upload]).encode(), 0o600)
        except OSError as error:
            raise self._disk.translate_write_error(error, "the note of an upload") from None

    def remove(self, key: str, upload: str = "") -> None:
        """One that stays is found, and removed, later."""
        with suppress(OSError):
            self._find(key, upload).unlink(missing_ok=True)

    def list(self, mends: bool = True) -> Iterator[tuple[str, str]]:
        """Keys and uploads, "" for one whose name is not known. A note that a fault of the disk has spoilt is removed
        where it ``mends``: nobody can tell whose it was, and a lifecycle rule of the bucket ends the upload. Raises
        DiskAway, Unavailable."""
        try:
            paths = sorted(self.directory.iterdir())
            for path in paths:
                if path.suffix != _UNWRITTEN:
                    yield from self._read(path, mends)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._disk.translate_read_error(error) from None

    def _read(self, path: Path, mends: bool) -> Iterator[tuple[str, str]]:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return  # its upload has ended meanwhile
        found = parse_note(data)
        if found is None:
            if mends:
                logger.error("the note of an upload, %s, cannot be read and is removed", path.name)
                path.unlink(missing_ok=True)
            return
        yield found

    def clear(self) -> None:
        """Remove the directory, if no upload is written down."""
        with suppress(OSError):
            for path in self.directory.glob(f"*{_UNWRITTEN}"):
                path.unlink()
            self.directory.rmdir()

    def _find(self, key: str, upload: str) -> Path:
        return self.directory / name_note(key, upload)

    @property
    def _disk(self) -> Disk:
        return Disk("the data directory", os.fsencode(self.directory.parent.parent))
