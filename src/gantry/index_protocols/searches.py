"""Searches, and how much is stored."""

from __future__ import annotations

from typing import Protocol

from gantry.names import DatasetName, DicomStoreName, ResourcePath
from gantry.queries import FoundSeries, FoundStudy, Query
from gantry.resources import (
    Growth,
    Metrics,
    StoredInstance,
)


class SearchIndex(Protocol):
    """Every search reads an index in the order of its answer: nothing in it grows with the instances of a store."""

    def search_studies(self, store: DicomStoreName, query: Query) -> list[FoundStudy]:
        """Latest study date first. Raises NotFound for the store."""
        ...

    def search_series(self, store: DicomStoreName, query: Query) -> list[FoundSeries]:
        """By Series Instance UID. Raises NotFound for the store."""
        ...

    def search_instances(self, store: DicomStoreName, query: Query) -> list[StoredInstance]:
        """By Series, then SOP Instance UID. Raises NotFound for the store."""
        ...


class SavedSearchIndex(Protocol):
    """Searches that people have given names. ``owner`` is the name of a caller.

    Raises NotFound where the store is not there.
    """

    def save_search(self, store: DicomStoreName, owner: str, name: str, query: str) -> None:
        """Under a name that is taken, instead of what was there. Raises ResourceExhausted past MOST."""
        ...

    def list_searches(self, store: DicomStoreName, owner: str) -> dict[str, str]:
        """Name → query, in the order of names."""
        ...

    def delete_search(self, store: DicomStoreName, owner: str, name: str) -> None: ...


class MetricsIndex(Protocol):
    """How much is stored. No call reads instances to count them."""

    def get_metrics(self, store: DicomStoreName, path: ResourcePath | None = None) -> Metrics:
        """Of a store, or of the study or series ``path``. Raises NotFound."""
        ...

    def list_growth(self, store: DicomStoreName) -> list[Growth]:
        """By day and storage class, in the order of days. Raises NotFound."""
        ...

    def list_store_sizes(self, parent: DatasetName) -> dict[str, tuple[int, int]]:
        """Instances and bytes of the stores of a dataset that ever held anything, by their ids."""
        ...

    def list_modalities(self, store: DicomStoreName) -> list[tuple[str, int, int, int]]:
        """Modality, series, instances and bytes of what a store holds, the most instances first. Raises NotFound."""
        ...
