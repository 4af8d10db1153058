"""The index as one object."""

from __future__ import annotations

from gantry.index.instances import Instances
from gantry.index.operations import Operations


class SqlIndex(Operations, Instances):
    """Everything Gantry knows, in SQLite. Safe to use from many threads."""
