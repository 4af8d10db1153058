"""Small file systems of their own, mounted by root, for tests of disks that are full, read-only or away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@contextmanager
def mounted(path: Path, options: str = "size=64m") -> Iterator[Path]:
    """A tmpfs at ``path``. Skips the test where none can be mounted, and says why; on CI the test fails instead."""
    path.mkdir(parents=True, exist_ok=True)
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(("mount", "-t", "tmpfs", "t", path)).returncode:
        why = "no file system can be mounted: that needs Linux and root with CAP_SYS_ADMIN"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    try:
        _run("mount", "-o", f"remount,{options}", str(path))
        yield path
    finally:
        subprocess.run(("umount", "-l", str(path)), capture_output=True)


def remount(path: Path, options: str) -> None:
    _run("mount", "-o", f"remount,{options}", str(path))


@contextmanager
def away(path: Path) -> Iterator[None]:
    """The file system that is mounted at ``path`` is not there while the block runs: its mount point is, empty."""
    elsewhere = path.with_name(f"{path.name}-elsewhere")
    elsewhere.mkdir(exist_ok=True)
    _run("mount", "--bind", str(path), str(elsewhere))
    _run("umount", "-l", str(path))
    try:
        yield
    finally:
        _run("mount", "--bind", str(elsewhere), str(path))
        _run("umount", "-l", str(elsewhere))
