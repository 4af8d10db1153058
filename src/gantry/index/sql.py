"""The index as one object."""

from __future__ import annotations

from gantry.index.contents import Contents
from gantry.index.deletion import Deletion
from gantry.index.logs import Logs


class SqlIndex(Logs, Deletion, Contents):
    """Everything Gantry knows, in SQLite. Safe to use from many threads."""
