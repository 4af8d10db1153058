"""What is checked: the parts of a data directory, opened only to read them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gantry.findings import Finding
from gantry.index_protocols.checks import CheckedIndex
from gantry.seams import Blobs

_AGAIN_SECONDS = 0.5  # before something is looked at a second time beside a running server


@dataclass
class Checked:
    """``is_used``: a server may change the directory meanwhile. ``reads``: all bytes are read. ``marks`` find what is
    wrong with the marks of directories. ``tell`` gets the name of a check and how much of it is done."""

    index: CheckedIndex
    blobs: Blobs
    places: Sequence[str]
    is_used: bool = False
    reads: bool = False
    marks: Sequence[Callable[[], Iterator[Finding]]] = ()
    tell: Callable[[str, int], None] = lambda name, done: None
    instances: int = field(default=0, init=False)
    bytes: int = field(default=0, init=False)

    def wait(self) -> None:
        """Before a second look: a server may be changing just that."""
        if self.is_used:
            time.sleep(_AGAIN_SECONDS)
