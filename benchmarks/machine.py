"""The file system under the benchmark, and the copy that every rate is compared with."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BenchmarkError(Exception):
    """The run cannot be trusted; the text says why."""


@contextmanager
def work_directory(parent: str | None) -> Iterator[Path]:
    """A new directory, in ``parent`` or on the file system of the current directory; removed at the end.

    Nothing in it is removed before: for minutes after many deletions ext4 makes new files up to ten times slower,
    because it passes over every inode that was freed a short while ago.
    """
    if parent is None:
        temporary = tempfile.gettempdir()
        parent = temporary if os.stat(temporary).st_dev == os.stat(".").st_dev else "."
    else:
        os.makedirs(parent, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="gantry-bench-", dir=parent)).absolute()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def settle(path: Path) -> None:
    """Return when nothing of the file system of ``path`` waits to be written."""
    subprocess.run(["sync", "-f", str(path)], check=True)


def copy_seconds(source: Path, target: Path) -> float:
    """Seconds of ``cp -r SOURCE TARGET && sync -f TARGET``; ``target`` must not exist."""
    script = 'cp -r "$1" "$2" && sync -f "$2"'
    start = time.perf_counter()
    subprocess.run(["sh", "-c", script, "sh", str(source), str(target)], check=True)
    return time.perf_counter() - start
