"""Datasets, DICOM stores, their policies, and sessions of browsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gantry.iam.sessions import Session
from gantry.names import DatasetName, DicomStoreName, LocationName
from gantry.resources import (
    Dataset,
    DicomStore,
    Operation,
)


class ResourceIndex(Protocol):
    """Datasets and DICOM stores. Names are unique; a deleted name can be used again at once."""

    def create_dataset(self, value: Dataset, version: str) -> Operation:
        """Create a dataset; the finished operation. Raises AlreadyExists."""
        ...

    def get_dataset(self, name: DatasetName) -> Dataset:
        """Raises NotFound."""
        ...

    def list_datasets(self, parent: LocationName, limit: int, after: str = "") -> list[Dataset]:
        """Up to ``limit`` datasets of a location, sorted by id, after the id ``after``."""
        ...

    def list_dataset_names(self, limit: int, after: DatasetName | None = None) -> list[DatasetName]:
        """Up to ``limit`` datasets of all projects and locations, sorted by name."""
        ...

    def change_dataset(self, name: DatasetName, change: Callable[[Dataset], Dataset]) -> Dataset:
        """Replace a dataset by ``change(dataset)`` in one transaction; the new one. Raises NotFound."""
        ...

    def delete_dataset(self, name: DatasetName) -> None:
        """Hide a dataset with its stores and operations at once; their rows are removed later. Raises NotFound."""
        ...

    def create_dicom_store(self, value: DicomStore) -> None:
        """Raises NotFound for the dataset, AlreadyExists."""
        ...

    def get_dicom_store(self, name: DicomStoreName) -> DicomStore:
        """Raises NotFound."""
        ...

    def list_dicom_stores(self, parent: DatasetName, limit: int, after: str = "") -> list[DicomStore]:
        """Up to ``limit`` stores of a dataset, sorted by id, after the id ``after``. Raises NotFound."""
        ...

    def change_dicom_store(self, name: DicomStoreName, change: Callable[[DicomStore], DicomStore]) -> DicomStore:
        """Replace a store by ``change(store)`` in one transaction; the new one. Raises NotFound."""
        ...

    def delete_dicom_store(self, name: DicomStoreName) -> None:
        """Hide a store at once; the sweeper removes its instances later. Raises NotFound."""
        ...


class AccessIndex(Protocol):
    """Policies, and sessions of browsers. ``name`` is the id of a project, or the name of a dataset or DICOM store;
    ``key`` is a digest of the session cookie, ``now`` is in seconds since 1970."""

    def list_policies(self, name: str | DatasetName | DicomStoreName) -> tuple[str, ...]:
        """The policies of a resource and of its parents; fewer where one of them does not exist."""
        ...

    def list_with_policies(
        self, limit: int, after: DatasetName | DicomStoreName | None = None
    ) -> list[tuple[DatasetName | DicomStoreName, tuple[str, ...]]]:
        """Up to ``limit`` datasets, and those DICOM stores on which somebody may have more than on their dataset: with
        a policy of their own, or below one with a condition. Sorted by name, a dataset before its stores; each with
        the policies of its project, of its dataset and of its own as a store, "" where there is none."""
        ...

    def get_policy(self, name: str | DatasetName | DicomStoreName) -> str:
        """The policy of the resource alone, "" without one. Raises NotFound, but not for projects, which always
        exist."""
        ...

    def change_policy(self, name: str | DatasetName | DicomStoreName, change: Callable[[str], str]) -> str:
        """Replace a policy by ``change(policy)`` in one transaction; the new one. Raises NotFound."""
        ...

    def begin_session(self, key: bytes, begun: Session, now: int) -> None:
        """Store a new session. Also removes expired sessions."""
        ...

    def find_session(self, key: bytes, now: int) -> Session | None:
        """None for a session that does not exist or has expired."""
        ...

    def end_session(self, key: bytes) -> None: ...
