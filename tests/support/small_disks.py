"""Small file systems that tests can fill: mounted by root, on Linux."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

Kind = Literal["tmpfs", "ext4"]


@contextmanager
def small_disk(path: Path, megabytes: int, kind: Kind = "tmpfs") -> Iterator[Path]:
    """A file system of this size at ``path``. Skips the test where it cannot be mounted, and says why."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("no small disk can be mounted: that needs Linux and root")
    path.mkdir()
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    else:
        image = path.with_name(f"{path.name}.image")
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
        command = ["mount", "-o", "loop", str(image), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(directory: Path) -> Path:
    """A file that leaves no free byte on its disk."""
    ballast = directory / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return ballast
