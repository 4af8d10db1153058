"""Datasets, DICOM stores, their policies, and browsers that have signed in."""

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
        """A dataset and the operation that made it, done already. Raises AlreadyExists."""
        ...

    def get_dataset(self, name: DatasetName) -> Dataset:
        """Raises NotFound."""
        ...

    def list_datasets(self, parent: LocationName, limit: int, after: str = "") -> list[Dataset]:
        """Up to ``limit`` datasets of a location by id, those after the id ``after``."""
        ...

    def list_dataset_names(self, limit: int, after: DatasetName | None = None) -> list[DatasetName]:
        """Up to ``limit`` datasets of all projects and locations, in the order of their names."""
        ...

    def change_dataset(self, name: DatasetName, change: Callable[[Dataset], Dataset]) -> Dataset:
        """Replace the settings by what ``change`` makes of the present ones, in one transaction. Raises NotFound."""
        ...

    def delete_dataset(self, name: DatasetName) -> None:
        """Hide a dataset with its stores and operations at once; their rows go later, in pieces. Raises NotFound."""
        ...

    def create_dicom_store(self, value: DicomStore) -> None:
        """Raises NotFound for the dataset, AlreadyExists."""
        ...

    def get_dicom_store(self, name: DicomStoreName) -> DicomStore:
        """Raises NotFound."""
        ...

    def list_dicom_stores(self, parent: DatasetName, limit: int, after: str = "") -> list[DicomStore]:
        """Up to ``limit`` stores of a dataset by id, those after the id ``after``. Raises NotFound."""
        ...

    def change_dicom_store(self, name: DicomStoreName, change: Callable[[DicomStore], DicomStore]) -> DicomStore:
        """Replace the settings by what ``change`` makes of the present ones, in one transaction. Raises NotFound."""
        ...

    def delete_dicom_store(self, name: DicomStoreName) -> None:
        """Hide a store at once; its instances go when the sweeper comes by. Raises NotFound."""
        ...


class AccessIndex(Protocol):
    """Policies, and browsers that have signed in. ``name`` is a project's id, or the name of a dataset or DICOM store;
    ``key`` is a digest of what the browser holds, ``now`` is in seconds since 1970."""

    def list_policies(self, name: str | DatasetName | DicomStoreName) -> tuple[str, ...]:
        """The policies that count for a resource; fewer where it or what it lies in is not there."""
        ...

    def get_policy(self, name: str | DatasetName | DicomStoreName) -> str:
        """Of the resource alone, "" without one. Raises NotFound; not for projects, which are simply there."""
        ...

    def change_policy(self, name: str | DatasetName | DicomStoreName, change: Callable[[str], str]) -> str:
        """Replace a policy by what ``change`` makes of it, in one transaction; the new one. Raises NotFound."""
        ...

    def begin_session(self, key: bytes, begun: Session, now: int) -> None:
        """Sessions that have ended are forgotten in passing."""
        ...

    def find_session(self, key: bytes, now: int) -> Session | None:
        """None for one that never was, or has ended."""
        ...

    def end_session(self, key: bytes) -> None: ...
