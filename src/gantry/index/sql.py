"""The index as one object: a part for each subject, all in one database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gantry.index.access import Access
from gantry.index.clock import read_clock
from gantry.index.deletion import Deletion
from gantry.index.deliveries import Deliveries
from gantry.index.description import Descriptions
from gantry.index.feed import Feed
from gantry.index.garbage import Garbage
from gantry.index.generations import Generations
from gantry.index.instances import Instances
from gantry.index.keys import Keys
from gantry.index.logs import Logs
from gantry.index.metrics import StoreMetrics
from gantry.index.opening import open_database
from gantry.index.operations import Operations
from gantry.index.resources import Resources
from gantry.index.restoration import Restoration
from gantry.index.retention import Retention
from gantry.index.saved_searches import SavedSearches
from gantry.index.searching import Search
from gantry.index.segments import Segments
from gantry.index.selections import Selections
from gantry.index.servers import Servers
from gantry.index.uploads import Uploads


class SqlIndex:
    """Everything Gantry knows, in a database. Safe to use from many threads. Promises: ``index_protocols.Index``."""

    def __init__(self, url: str | Path, now: Callable[[], int] = read_clock, shares: bool = False) -> None:
        """``now`` reads the clock: microseconds since 1970 UTC. ``shares``: beside other servers, in PostgreSQL."""
        self.database = open_database(url, now, shares)
        self.resources = Resources(self.database)
        self.access = Access(self.database)
        self.keys = Keys(self.database)
        self.operations = Operations(self.database)
        self.logs = Logs(self.database)
        self.retention = Retention(self.database)
        self.instances = Instances(self.database)
        self.selections = Selections(self.database)
        self.search = Search(self.database)
        self.saved_searches = SavedSearches(self.database)
        self.metrics = StoreMetrics(self.database)
        self.uploads = Uploads(self.database)
        self.deletion = Deletion(self.database)
        self.garbage = Garbage(self.database)
        self.segments = Segments(self.database)
        self.restoration = Restoration(self.database)
        self.generations = Generations(self.database)
        self.description = Descriptions(self.database)
        self.feed = Feed(self.database)
        self.servers = Servers(self.database)
        self.deliveries = Deliveries(self.database)

    def settle(self) -> None:
        self.database.settle()

    def keep_reserve(self) -> None:
        self.database.keep_reserve()

    def examine(self) -> None:
        self.database.examine()

    def find_damage(self) -> str:
        return self.database.find_damage()

    def find_troubles(self) -> list[str]:
        return self.database.find_troubles()

    def read_times(self) -> dict[str, tuple[list[tuple[str, int]], float]]:
        return self.database.times.read()

    def close(self) -> None:
        """Nothing of the index may be used afterwards."""
        self.database.close()
