"""Searches and metrics."""

from __future__ import annotations

from typing import Protocol

from gantry.holdings import Holding, RecentStore
from gantry.names import DatasetName, DicomStoreName, ResourcePath
from gantry.queries import FoundSeries, FoundStudy, Query, StudyTotals
from gantry.resources import (
    Growth,
    Metrics,
    StoredInstance,
)


class SearchIndex(Protocol):
    """Searches. Their cost does not grow with the number of instances in the store."""

    def search_studies(self, store: DicomStoreName, query: Query) -> list[FoundStudy]:
        """Latest study date first. Raises NotFound for the store."""
        ...

    def count_studies(self, store: DicomStoreName, query: Query) -> StudyTotals:
        """What those up to the limit of the query hold together. Raises NotFound for the store."""
        ...

    def search_series(self, store: DicomStoreName, query: Query) -> list[FoundSeries]:
        """By Series Instance UID. Raises NotFound for the store."""
        ...

    def search_instances(self, store: DicomStoreName, query: Query) -> list[StoredInstance]:
        """By Series, then SOP Instance UID. Raises NotFound for the store."""
        ...


class SavedSearchIndex(Protocol):
    """Searches saved by users under a name. ``owner`` is the name of a caller.

    Raises NotFound where the store does not exist.
    """

    def save_search(self, store: DicomStoreName, owner: str, name: str, query: str) -> None:
        """Save a search, or replace the one of that name. Raises ResourceExhausted for more than MOST."""
        ...

    def list_searches(self, store: DicomStoreName, owner: str) -> dict[str, str]:
        """Name → query, sorted by name."""
        ...

    def delete_search(self, store: DicomStoreName, owner: str, name: str) -> None: ...


class MetricsIndex(Protocol):
    """Counts of what is stored. They are kept in the index; no call counts instances."""

    def get_metrics(self, store: DicomStoreName, path: ResourcePath | None = None) -> Metrics:
        """Metrics of a store, or of the study or series ``path``. Raises NotFound."""
        ...

    def list_growth(self, store: DicomStoreName) -> list[Growth]:
        """Growth by day and storage class, in the order of days. Raises NotFound."""
        ...

    def list_store_sizes(self, parent: DatasetName) -> dict[str, tuple[int, int]]:
        """Store id → (instances, bytes), for the stores of a dataset that ever held an instance."""
        ...

    def list_holdings(self) -> list[Holding]:
        """What each store of each dataset holds, in the order of names; none of deleted stores."""
        ...

    def sum_growth(self, first: int, last: int) -> dict[str, int]:
        """Storage class → the bytes that all stores gained, or lost, from day ``first`` to ``last`` (since 1970)."""
        ...

    def find_first_day(self) -> int | None:
        """The first day (since 1970) on which a store that still exists held something; None where none ever did."""
        ...

    def list_largest(self, most: int) -> dict[DicomStoreName, tuple[int, int]]:
        """(instances, bytes) of the stores of all datasets that hold the most instances."""
        ...

    def list_recent(self, most: int, first: int) -> list[RecentStore]:
        """Of all datasets, the stores that changed last, then those that never held anything, of each day the newest
        first, with their days from day ``first`` (since 1970) on."""
        ...

    def measure_bytes(self) -> int:
        """What the database has on its disk, with what it keeps free in its files."""
        ...

    def list_classes(self, store: DicomStoreName, path: ResourcePath) -> list[tuple[str, int, int]]:
        """(storage class, instances, bytes) of a study or series, the most instances first. Raises NotFound."""
        ...

    def list_modalities(self, store: DicomStoreName) -> list[tuple[str, int, int, int]]:
        """(modality, series, instances, bytes) of a store, the most instances first. Raises NotFound."""
        ...
