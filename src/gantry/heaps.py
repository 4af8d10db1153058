"""How many heaps the threads of a process share."""

from __future__ import annotations

import ctypes
import os

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
_HEAPS = 2
"""Python's lock lets one thread at a time allocate nearly all that is allocated, so more heaps save no waiting. Each
keeps what was freed in it: with glibc's eight for each processor a busy server grew to 370 MB instead of 300."""


def share_heaps() -> None:
    """For a process that will have many threads, before it has them. What the environment says (MALLOC_ARENA_MAX) comes
    first; other C libraries than glibc have no such limit, or need none."""
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    limit = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if limit is not None:
        limit(_ARENA_MAX, _HEAPS)
