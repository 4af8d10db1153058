"""The numbers of stores and uploads in the names of folders."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gantry.resources import BlobStorageClass
from gantry.seams import MAIN

PLACES = (MAIN, *(each.value for each in BlobStorageClass))
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_MOST_NUMBER = 1 << 62  # half of what the index can hold: it gives out none so high


def read_numbers(folders: Iterable[str]) -> list[int]:
    """Of folders, as a listing names them, those whose names are numbers that the index gives."""
    names = (folder.rstrip("/").rpartition("/")[2] for folder in folders)
    return [int(name) for name in names if _NUMBER.fullmatch(name) and int(name) < _MOST_NUMBER]
