"""Open files of this process. Other tests of the same process leave garbage, whose files close at any moment."""

from __future__ import annotations

import gc
import os

Open = set[tuple[str, str]]
"""Numbers of descriptors, and what each is of."""


def list_open(below: str = "") -> Open:
    """Those whose path begins with ``below``; files without a name count, too."""
    if not below:
        gc.collect()
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
        except FileNotFoundError:  # that of the listing itself
            continue
    return {(number, path) for number, path in found if path.startswith(below)}


def list_opened_since(before: Open) -> Open:
    """What is open now and was not ``before``."""
    return list_open() - before
