"""A server whose disks are recorded, from before its first start: what ``cuts.py`` cuts."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gantry.settings.loading import Settings
from tests.faults.power.client import Client, hold
from tests.faults.power.disk import Disks
from tests.faults.power.journal import Journal, Json
from tests.support.server import GantryServer

DISKS = ("", "near", "buckets", "data/blobs")
"""Directories below the home, each with a disk of its own: a sync of one file system promises nothing of another."""


def settings_of(home: Path, layout: str = "segments") -> Settings:
    return Settings(
        data=str(home / "data"),
        buckets=str(home / "buckets"),
        workers=1,
        storage_classes={"ARCHIVE": str(home / "near")},
        layout=layout,
    )


class Recording:
    """Below ``directory``: ``home`` with all that the server writes; the disks at first; the journal.

    Objects of buckets are made by ``put`` before ``run``.
    """

    def __init__(self, directory: Path, layout: str = "segments") -> None:
        self.directory, self.layout = directory, layout
        self.home = directory / "home"
        self.sources: dict[str, tuple[str, bytes]] = {}
        self.notes: list[Json] = []  # what was promised before
        (self.home / "buckets" / "out").mkdir(parents=True)

    def put(self, name: str, path: str, data: bytes) -> None:
        """An object of a bucket, with an instance at this path."""
        target = self.home / "buckets" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.sources[name] = path, data

    def start(self, env: dict[str, str] | None = None) -> GantryServer:
        classes = {"GANTRY_STORAGE_CLASSES": f"ARCHIVE={self.home / 'near'}", "GANTRY_LAYOUT": self.layout}
        log = self.directory / "log"
        return GantryServer(self.home / "data", self.home / "buckets", workers=1, env=classes | (env or {}), log=log)

    @contextmanager
    def run(self, held: Mapping[str, Mapping[str, bytes]] | None = None) -> Iterator[Client]:
        """The server runs, and is stopped in the end. ``held``: store → instances that are there before."""
        roots = [self.home / name if name else self.home for name in DISKS]
        with (self.directory / "disks").open("wb") as file:
            pickle.dump((self.home, self.layout, Disks(roots)), file)
        journal = Journal(self.directory / "journal", roots)
        for note in self.notes:
            journal.note(note)
        hold(journal, held or {})
        server = self.start(journal.env)
        try:
            yield Client(server, journal, self.sources, held or {})
            server.stop()
        finally:
            server.process.kill()
            server.process.wait()
            assert "Traceback" not in server.log_text(), server.log_text()


def load(directory: Path) -> tuple[Path, str, Disks]:
    """Where the home of a recording was, its layout, and its disks before the first record."""
    with (directory / "disks").open("rb") as file:
        found: tuple[Path, str, Disks] = pickle.load(file)  # noqa: S301 - our own
    return found


def kill(client: Client) -> None:
    """kill -9 of the server, and a new start."""
    with client.journal.held():
        os.kill(client.server.process.pid, 9)
        client.server.process.wait()
    client.server.client.close()
    client.server.start()
