"""Files that tests run over: those that pydicom ships, a corpus where there is one, and synthetic ones."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import read_header, read_header_bytes
from gantry.errors import InvalidArgument
from tests.support.datasets import FILES

CORPUS = os.environ.get("GANTRY_CORPUS", "")
WHY = "NOT TESTED: GANTRY_CORPUS is not set to a directory with manifest.csv and data/"
_PACKAGED = Path(pydicom.__file__).parent / "data"
_MOST = 64 << 20


def content(name: str) -> bytes:
    """The bytes of a file by its name in ``names``."""
    kind, _, rest = name.partition(":")
    if kind == "made":
        return FILES[rest]
    return Path(_PACKAGED if kind == "pydicom" else Path(CORPUS, "data"), rest).read_bytes()


def accepted(data: bytes) -> bool:
    try:
        read_header(lambda offset, length: data[offset : offset + length], len(data))
    except InvalidArgument:
        return False
    return True


def header_bytes_of(data: bytes) -> HeaderBytes:
    """Raises InvalidArgument."""

    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    found = read_header_bytes(read_at, len(data), read_header(read_at, len(data)).layout, _MOST)
    assert found is not None
    return found


@cache
def real_names() -> tuple[str, ...]:
    """Instances of pydicom and of the corpus, ``ok`` and all other folders."""
    found = [f"pydicom:{path.relative_to(_PACKAGED)}" for path in sorted(_PACKAGED.rglob("*.dcm"))]
    if CORPUS:
        root = Path(CORPUS, "data")
        found += [f"corpus:{path.relative_to(root)}" for path in sorted(root.rglob("*")) if path.is_file()]
    return tuple(name for name in found if accepted(content(name)))


def made_names() -> tuple[str, ...]:
    """Without those that are refused, which may only be the deepest ones."""
    return tuple(f"made:{name}" for name, data in FILES.items() if "-200-" not in name or accepted(data))


def parameters(*names: str) -> list[Any]:
    """For parametrize; without a corpus, one that says that it is missing."""
    return [*names] if CORPUS else [*names, pytest.param("", marks=pytest.mark.skip(reason=WHY))]
