"""Servers that are alive, of those that share an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LiveServer:
    """``name`` is for people: its machine and its process. ``runs``: it runs operations. ``beats`` are counted up while
    it is alive. ``state`` is what the others must know of it: see ``membership``."""

    id: str
    name: str
    runs: bool
    beats: int
    state: Mapping[str, Any]
