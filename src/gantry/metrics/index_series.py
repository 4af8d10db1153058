"""What the index says of the work of all servers. A database that is away, or hangs, costs these series alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric

from gantry.api.looking import Look
from gantry.counters import Queue
from gantry.events import FeedTotals
from gantry.names import DicomStoreName
from gantry.seams import Seams

MOST_STORES = 100
"""The largest ones: a server may have any number of stores, and each has two series."""


@dataclass(frozen=True)
class _Found:
    queue: Queue
    live: Sequence[bool]  # of each server, whether it runs operations
    changes: FeedTotals
    size: int
    stores: Mapping[DicomStoreName, tuple[int, int]]
    seconds: float


class IndexSeries:
    """``runner`` is this server as one that claims operations, ``runs`` whether it does."""

    def __init__(self, seams: Seams, runner: str, runs: bool) -> None:
        self._seams, self._runner, self._runs = seams, runner, runs
        self._found: _Found | None = None
        self._look = Look(self._read)

    def _read(self) -> list[str]:
        begun = time.monotonic()
        queue = self._seams.index.operations.read_queue(self._runner)
        alone = not self._seams.members.is_shared
        live = [self._runs] if alone else [each.runs for each in self._seams.index.servers.list_live()]
        changes = self._seams.index.feed.count()
        metrics = self._seams.index.metrics
        size, stores = metrics.measure_bytes(), metrics.list_largest(MOST_STORES)
        self._found = _Found(queue, live, changes, size, stores, time.monotonic() - begun)
        return []

    def collect(self) -> Iterator[Metric]:
        troubles = self._look.begin().get()
        found = None if troubles else self._found
        up = int(found is not None)
        yield GaugeMetricFamily("gantry_index_up", "Whether the index answers: 1, or 0 and its series miss.", value=up)
        if found is not None:
            yield from _describe(found)


def _describe(found: _Found) -> Iterator[Metric]:
    for name, text, value in (
        ("gantry_index_look_seconds", "Seconds that the index took to answer for these series.", found.seconds),
        ("gantry_queue_unclaimed", "Operations of all servers that nobody has claimed.", found.queue.unclaimed),
        ("gantry_queue_claimed", "Operations that some live server has claimed.", found.queue.claimed),
        (
            "gantry_queue_oldest_seconds",
            "Seconds since the oldest unclaimed one was created; 0: none.",
            found.queue.age,
        ),
        ("gantry_changes_kept", "Transactions that the change feeds of all stores keep.", found.changes.packs),
        ("gantry_changes_oldest_seconds", "Seconds since the oldest of them; 0: none.", found.changes.age),
        ("gantry_index_bytes", "Bytes that the database has on its disk.", found.size),
    ):
        yield GaugeMetricFamily(name, text, value=value)
    live = GaugeMetricFamily(
        "gantry_servers_live", "Servers that are alive, by whether they run operations.", labels=["runs"]
    )
    for runs in (True, False):
        live.add_metric([str(runs).lower()], found.live.count(runs))
    yield live
    instances = GaugeMetricFamily("gantry_store_instances", "Instances of a DICOM store.", labels=["store"])
    size = GaugeMetricFamily("gantry_store_bytes", "Bytes of these instances.", labels=["store"])
    for store, (count, held) in found.stores.items():
        instances.add_metric([str(store)], count)
        size.add_metric([str(store)], held)
    yield from (instances, size)
