"""The index as one object."""

from __future__ import annotations

from gantry.index.backfill import Backfill
from gantry.index.logs import Logs
from gantry.index.policies import Policies
from gantry.index.redescription import Redescription
from gantry.index.searches import Searches
from gantry.index.searching import Searching
from gantry.index.selections import Selections
from gantry.index.sessions import Sessions
from gantry.index.uploads import UploadedInstances


class SqlIndex(Logs, UploadedInstances, Selections, Searching, Redescription, Backfill, Policies, Sessions, Searches):
    """Everything Gantry knows, in SQLite. Safe to use from many threads."""
