"""An index that is lost, copied while a server runs, and put back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support import databases
from tests.support.blobs import read_blobs

ENDINGS = ("", "-wal", "-shm")


def copy_index(data: Path, target: Path) -> None:
    """As the page about backups says it, while the server runs or not."""
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        index.execute("VACUUM INTO ?", (str(target),))


def lose_index(data: Path) -> None:
    databases.lose(data)
    for ending in ENDINGS:
        (data / f"index.sqlite{ending}").unlink(missing_ok=True)


def put_index_back(data: Path, copy: Path) -> None:
    lose_index(data)
    shutil.copy(copy, data / "index.sqlite")


def bytes_on_disk(*roots: Path) -> dict[str, bytes]:
    """Every blob below directories of blobs, by root and key; without those that were freed."""
    return {f"{root}:{key}": data for root in roots for key, data in read_blobs(root).items()}


def tree(*roots: Path) -> dict[str, bytes]:
    """All files below directories."""
    return {str(path): path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()}
