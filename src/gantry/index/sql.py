"""The index as one object."""

from __future__ import annotations

from gantry.index.deletion import Deletion
from gantry.index.logs import Logs
from gantry.index.selections import Selections


class SqlIndex(Logs, Deletion, Selections):
    """Everything Gantry knows, in SQLite. Safe to use from many threads."""
