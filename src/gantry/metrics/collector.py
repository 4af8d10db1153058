"""The metrics of a server, from what it counts since its start and from its index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gantry import __version__
from gantry.api.audit import Audit
from gantry.metrics.disks import Disks
from gantry.metrics.index_series import IndexSeries
from gantry.metrics.requests import Requests
from gantry.operations.runner import Runner
from gantry.request_times import request_times
from gantry.seams import Seams

_DATABASE = (
    ("turns", "gantry_index_turn_seconds", "Waits of writers of this server for their turn."),
    (
        "transactions",
        "gantry_index_transaction_seconds",
        "Transactions that write, from the turn to their end.",
    ),
    ("connections", "gantry_index_connection_seconds", "Waits of readers for a connection to the index."),
)


class ServerCollector(Collector):
    """``answers`` and ``runs``: requests, and operations."""

    def __init__(
        self,
        runner: Runner,
        seams: Seams,
        audit: Audit | None,
        answers: bool,
        runs: bool,
        requests: Requests,
        disks: Disks,
    ) -> None:
        self._runner, self._seams, self._audit = runner, seams, audit
        self._requests, self._disks = requests, disks
        self._role = ("both" if runs else "replica") if answers else "runner"
        self._index = IndexSeries(seams, runner.id, runs)

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "gantry_server",
            "Version, and role: replica, runner or both.",
            value={"version": __version__, "role": self._role},
        )
        yield from self._index.collect()
        yield from self._requests.collect()
        yield from self._disks.collect()
        yield from self._collect_workers()
        yield from self._collect_operations()
        yield from self._collect_objects()
        yield from self._collect_batches()
        yield from self._collect_transfers()
        yield from self._collect_database()
        yield from self._collect_notifications()
        yield from self._collect_streams()
        yield from self._collect_troubles()

    def _collect_operations(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("gantry_operations_running", "Operations that are running.", value=self._runner.running)
        waiting = GaugeMetricFamily("gantry_operations_waiting", "Operations that wait, by what for.", labels=["for"])
        for cause, count in self._runner.waits.count().items():
            waiting.add_metric([cause.value], count)
        yield waiting
        yield GaugeMetricFamily(
            "gantry_operations_waiting_longest_seconds",
            "Seconds since the first of those that wait here began to.",
            value=self._runner.waits.find_longest(),
        )

    def _collect_workers(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("gantry_workers", "Worker processes, by what they are for.", labels=["pool"])
        busy = GaugeMetricFamily("gantry_workers_busy", "Calls that they have now.", labels=["pool"])
        deaths = CounterMetricFamily("gantry_worker_deaths", "Workers that died with a call.", labels=["pool"])
        for pool, workers in (("operations", self._seams.executor), ("pixels", self._seams.pixels)):
            size.add_metric([pool], workers.size)
            busy.add_metric([pool], workers.busy)
            deaths.add_metric([pool], workers.deaths)
        yield from (size, busy, deaths)

    def _collect_objects(self) -> Iterator[Metric]:
        objects = CounterMetricFamily(
            "gantry_objects", "Objects and instances processed since start.", labels=["method", "outcome"]
        )
        for (method, outcome), count in self._runner.totals.read().items():
            objects.add_metric([method, outcome], count)
        yield objects
        failures = CounterMetricFamily(
            "gantry_failures",
            "Objects and instances that failed since start, by code and reason.",
            labels=["method", "code", "reason"],
        )
        for labels, count in self._runner.totals.read_codes().items():
            failures.add_metric(labels, count)
        yield failures

    def _collect_batches(self) -> Iterator[Metric]:
        batches = HistogramMetricFamily(
            "gantry_batch_commit_seconds",
            "Batches that were committed since start, by the seconds of their transaction, turn to write included.",
            labels=["method"],
        )
        for method, (classes, seconds) in self._runner.totals.read_commits().items():
            batches.add_metric([method], classes, seconds)
        yield batches

    def _collect_database(self) -> Iterator[Metric]:
        for kind, name, text in _DATABASE:
            classes, seconds = self._seams.index.read_times()[kind]
            yield HistogramMetricFamily(name, text, buckets=classes, sum_value=seconds)

    def _collect_transfers(self) -> Iterator[Metric]:
        labels = ["method"]
        moved = CounterMetricFamily(
            "gantry_transferred_bytes", "Bytes read from buckets and written to them since start.", labels=labels
        )
        unchecked = CounterMetricFamily(
            "gantry_unchecked_objects", "Objects read of whose bytes their provider has no checksum.", labels=labels
        )
        for method, transfer in self._runner.totals.read_transfers().items():
            moved.add_metric([method], transfer.bytes)
            unchecked.add_metric([method], transfer.unchecked)
        yield moved
        yield unchecked
        requests = HistogramMetricFamily(
            "gantry_bucket_request_seconds",
            "Requests to buckets of providers since start, of workers too; each attempt by itself.",
            labels=["provider", "outcome"],
        )
        for labels_of, (classes, seconds) in request_times.read():
            requests.add_metric(labels_of, classes, seconds)
        yield requests

    def _collect_notifications(self) -> Iterator[Metric]:
        told = self._seams.notified.read()
        sent = CounterMetricFamily(
            "gantry_notifications",
            "Messages of topics since start: published, failed attempts, and times that some were given up.",
            labels=["outcome"],
        )
        for outcome, count in told.counts.items():
            sent.add_metric([outcome], count)
        yield sent
        yield GaugeMetricFamily(
            "gantry_notification_lag_seconds",
            "Age of the oldest change that a topic has not been told of.",
            value=self._measure_lag(told.oldest),
        )

    def _measure_lag(self, oldest: datetime | None) -> float:
        """Whoever was the keeper before knows nothing of it any more."""
        return _measure_age(oldest) if oldest and self._seams.members.is_keeper else 0

    def _collect_streams(self) -> Iterator[Metric]:
        told = self._seams.streamed.read()
        rows = CounterMetricFamily(
            "gantry_stream_rows",
            "Rows of tables that follow stores since start: written, without_header (of changes whose header was "
            "gone), too_long (not written).",
            labels=["outcome"],
        )
        for outcome in ("written", "without_header", "too_long"):
            rows.add_metric([outcome], told.counts[outcome])
        yield rows
        failures = CounterMetricFamily(
            "gantry_stream_failures",
            "Attempts to add rows that failed since start, by code; GIVEN_UP: times that rows were given up.",
            labels=["reason"],
        )
        for reason, count in {**told.failures, "GIVEN_UP": told.counts["given_up"]}.items():
            failures.add_metric([reason], count)
        yield failures
        yield GaugeMetricFamily(
            "gantry_stream_lag_seconds",
            "Age of the oldest change that a table does not have.",
            value=self._measure_lag(told.oldest),
        )
        yield GaugeMetricFamily(
            "gantry_stream_lag_changes",
            "Transactions that the table that is most behind does not have.",
            value=told.behind if self._seams.members.is_keeper else 0,
        )

    def _collect_troubles(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "gantry_undeletable",
            "Unused blobs, and deleted DICOM stores, that could not be removed from the disk yet.",
            # Whoever has swept before tells of it no more: the keeper tries the same ones.
            value=self._seams.undeletable.count if self._seams.members.is_keeper else 0,
        )
        lost = self._audit.file.lost if self._audit else 0
        yield CounterMetricFamily("gantry_audit_lines_lost", "Lines of the audit log that are lost.", value=lost)
        if (heard := self._seams.index.servers.heard) is not None:
            yield GaugeMetricFamily(
                "gantry_sign_of_life_age_seconds",
                "Seconds since the last sign of life of this server that got through. After 20 it is taken for dead.",
                value=time.monotonic() - heard,
            )
            yield GaugeMetricFamily(
                "gantry_servers_longest_silence_seconds",
                "Seconds since the last sign of life that this server has seen of the one that is silent longest.",
                value=self._seams.members.find_longest_silence(),
            )


def _measure_age(moment: datetime) -> float:
    """Seconds; a clock that was put back makes nothing younger than new."""
    return max(0.0, (datetime.now(UTC) - moment).total_seconds())
