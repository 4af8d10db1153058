"""What tests of segments in a directory share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gantry.storage.extents import Extent, parse_extent


def extent_of(key: str) -> Extent:
    extent = parse_extent(key)
    assert extent is not None
    return extent


def extents(found: Sequence[str]) -> list[Extent]:
    return [extent_of(key) for key in found]


def blocks(root: Path, key: str) -> int:
    """Bytes that a file has on the disk."""
    return (root / key).stat().st_blocks * 512


def refuse(number: int) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call
