"""Runs a start again and again, each time ended one step later, as kill -9 would: in a child that leaves by ``_exit``.
Or killed at random moments. EVERY is how many steps lie between two cuts.

    python -m tests.faults.cut HOME new|REVISION cuts EVERY
    python -m tests.faults.cut HOME new|REVISION kills NUMBER

A step is a statement of the index, or a call that changes names or opens a file to write it. After every cut the next
start must work, and find what was there. Prints the number of cuts.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from gantry.access_wiring import open_access
from gantry.config import DataDirectory
from gantry.generations import join
from gantry.index_wiring import IndexPlace
from gantry.settings.loading import Settings
from tests.faults.older import fill_older, index_of_schema

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")
MOST = 2000


class Steps:
    """Ends the process before step number ``last``. Does nothing before ``armed``."""

    def __init__(self) -> None:
        self.count, self.last = 0, -1

    def arm(self, last: int) -> None:
        self.count, self.last = 0, last

    def step(self) -> None:
        if self.last >= 0:
            self.count += 1
            if self.count > self.last:
                os._exit(9)

    def hear(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in CHANGES or (name == "open" and isinstance(arguments[2], int) and arguments[2] & 3):
            self.step()


STEPS = Steps()


def settings(home: Path) -> Settings:
    return Settings(
        data=str(home / "data"),
        workers=1,
        storage_classes={"NEARLINE": str(home / "near")},
        auth="required",
        admins=("user:a@b.c",),
    )


def start(home: Path) -> None:
    """What a server does before it answers, and its end."""
    wanted = settings(home)
    access = open_access(wanted)
    assert access is not None
    assert access.endpoint is not None
    directory = DataDirectory(wanted)
    index = IndexPlace(directory.path).open()
    index.database.witness = join(index.generations, directory.places, str(directory.path))
    index.uploads.list_uploads()
    index.close()
    directory.close()


def run_child(home: Path, last: int = -1, seconds: float = 0) -> int:
    """The exit code of a start that is cut, or killed after so many seconds."""
    child = os.fork()
    if not child:
        STEPS.arm(last)
        start(home)
        os._exit(0)
    if seconds:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Scene:
    """``revision``: of the index that is there at first; "new" for none."""

    def __init__(self, home: Path, revision: str) -> None:
        self.home, self.revision = home, revision
        self.filled = home.with_name(f"filled-{revision}.sqlite")
        new = home.with_name("new")
        start(new)
        self.schema = schema(new)
        if revision != "new":
            with closing(index_of_schema(self.filled, revision)) as older:
                fill_older(older)

    def prepare(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        if self.revision != "new":
            blobs = self.home / "data" / "blobs" / "main" / "1" / "7"
            blobs.mkdir(parents=True)
            (blobs / "1.dcm").write_bytes(b"1")
            shutil.copy(self.filled, self.home / "data" / "index.sqlite")

    def check(self) -> None:
        """The next start works, and everything is there."""
        assert run_child(self.home) == 0
        assert schema(self.home) == self.schema
        if self.revision != "new":
            with closing(sqlite3.connect(self.home / "data" / "index.sqlite")) as index:
                assert index.execute("SELECT count(*), min(blob_key) FROM instance").fetchone() == (3, "main/1/7/1.dcm")
                assert index.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert index.execute("SELECT count(*) FROM operation").fetchone() == (2,)

    def cut(self, every: int) -> int:
        """The number of steps."""
        for last in range(0, MOST, every):
            self.prepare()
            code = run_child(self.home, last)
            assert code in (0, 9), f"step {last}: exit code {code}"
            self.check()
            if code == 0:
                return last
        raise AssertionError(f"more than {MOST} steps")

    def kill(self, times: int) -> int:
        """How many kills have come before the end of the start."""
        chance = random.Random(f"{self.revision}{times}")
        self.prepare()
        begun = time.monotonic()
        assert run_child(self.home) == 0
        seconds, early = time.monotonic() - begun, 0
        for _ in range(times):
            self.prepare()
            early += run_child(self.home, seconds=chance.uniform(0.001, seconds)) != 0
            self.check()
        return early


def schema(home: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "data" / "index.sqlite")) as index:
        return sorted(index.execute("SELECT type, name, tbl_name FROM sqlite_master"))


def main() -> None:
    event.listen(Engine, "connect", lambda connection, _: connection.set_trace_callback(lambda _: STEPS.step()))
    sys.addaudithook(STEPS.hear)
    scene = Scene(Path(sys.argv[1]), sys.argv[2])
    print((scene.kill if sys.argv[3] == "kills" else scene.cut)(int(sys.argv[4])))


if __name__ == "__main__":
    main()
