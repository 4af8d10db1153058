"""A directory in which short scripts run, and what its disks keep of what they did."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.faults.power.disk import Disks
from tests.faults.power.journal import Journal, Kind, read_journal

START = """
import ctypes, os
call = lambda name, *given: getattr(ctypes.CDLL(None, use_errno=True), name)(*given)
def write(name, data, synced=True):
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.write(fd, data)
    if synced:
        os.fsync(fd)
    return fd
def sync(name):
    fd = os.open(name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
"""


class Watched:
    """A directory whose changes are recorded, with a second disk in ``other``."""

    def __init__(self, tmp_path: Path) -> None:
        self.home = tmp_path / "home"
        (self.home / "other").mkdir(parents=True)
        (self.home / "old").write_bytes(b"old")
        roots = [self.home, self.home / "other"]
        self.disks = Disks(roots)
        self.journal = Journal(tmp_path / "journal", roots, pause=0)

    def run(self, script: str) -> None:
        """In a process of its own."""
        subprocess.run(
            [sys.executable, "-c", START + textwrap.dedent(script)],
            env=os.environ | self.journal.env,
            cwd=self.home,
            check=True,
            timeout=60,
        )
        for record in read_journal(self.journal.path):
            if record.kind in (Kind.SYNC, Kind.SYNCFS):
                self.disks.sync(record)
            else:
                self.disks.apply(record)

    def kept(self) -> dict[str, bytes | None]:
        return self.disks.read()

    def real(self) -> dict[str, bytes | None]:
        found = sorted(self.home.rglob("*"))
        return {str(path.relative_to(self.home)): None if path.is_dir() else path.read_bytes() for path in found}
