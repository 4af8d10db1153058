"""What is checked: the parts of a data directory, opened only to read them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gantry.errors import StatusError
from gantry.findings import Finding, Kind
from gantry.index_protocols.checks import CheckedIndex
from gantry.seams import Blobs

_AGAIN_SECONDS = 0.5  # before something is looked at a second time beside a running server


@dataclass
class Checked:
    """``is_used``: a server may change the directory meanwhile. ``reads``: all bytes are read. ``marks`` find what is
    wrong with the marks of directories. ``list_left_uploads``: keys and names of uploads in parts to the bucket of the
    blobs that nobody continues; ``end_upload`` removes the parts of one, for ``gantry storage clear``. ``tell`` gets
    the name of a check and how much of it is done."""

    index: CheckedIndex
    blobs: Blobs
    places: Sequence[str]
    is_used: bool = False
    reads: bool = False
    marks: Sequence[Callable[[], Iterator[Finding]]] = ()
    list_left_uploads: Callable[[], set[tuple[str, str]]] = set
    end_upload: Callable[[str, str], None] = lambda key, upload: None
    tell: Callable[[str, int], None] = lambda name, done: None
    instances: int = field(default=0, init=False)
    bytes: int = field(default=0, init=False)
    away: set[str] = field(default_factory=set, init=False)

    def is_away(self, key: str) -> bool:
        """Whether the place of a blob could not be used, which is told already."""
        return _place_of(key) in self.away

    def note_away(self, key: str, error: StatusError) -> Finding:
        """A disk or a bucket that is away says nothing of the instances there, so it is one finding, not one for each.
        Nothing more is asked of it: each request may take long."""
        self.away.add(_place_of(key))
        return Finding(Kind.NOT_CHECKED, _place_of(key), error.what)

    def wait(self) -> None:
        """Before a second look: a server may be changing just that."""
        if self.is_used:
            time.sleep(_AGAIN_SECONDS)


def _place_of(key: str) -> str:
    return key.partition("/")[0]
