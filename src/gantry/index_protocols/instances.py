"""Instances: reading, storing and deleting them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from gantry.events import Action
from gantry.holdings import Unswept
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import (
    Failure,
    Instance,
    Method,
    Operation,
    OutdatedSeries,
    OutdatedStudy,
    Replacement,
    SeriesAttributes,
    StorageInfo,
    StoredInstance,
    StudyAttributes,
    Uids,
)


class InstanceIndex(Protocol):
    """Stored instances. An instance is identified by all three UIDs (study, series, SOP instance) in one store."""

    def find_stored(self, store_id: int, uids: Iterable[Uids]) -> dict[Uids, StoredInstance]:
        """UIDs → instance, for those of ``uids`` that are stored."""
        ...

    def count_in_store(self, store_id: int) -> int:
        """All instances of a store."""
        ...

    def walk_store(self, store_id: int, after: str = "") -> Iterator[StoredInstance]:
        """All instances after the position ``after``, in the order of their positions, which never changes."""
        ...

    def require(self, store: DicomStoreName, path: ResourcePath) -> None:
        """Raises NotFound when the store does not exist, or ``path`` does not exist in it."""
        ...

    def get_storage_info(self, store: DicomStoreName, path: ResourcePath) -> StorageInfo:
        """Of one instance. Raises NotFound."""
        ...

    def count_below(self, store_id: int, path: ResourcePath) -> int:
        """How many instances are below a path; 0 when it does not exist."""
        ...

    def walk_below(self, store_id: int, path: ResourcePath, after: str = "") -> Iterator[StoredInstance]:
        """Like ``walk_store``, for the instances below a path; nothing when it does not exist."""
        ...

    def list_below(self, store: DicomStoreName, path: ResourcePath) -> Iterator[StoredInstance]:
        """The instances below a path, by Series, then SOP Instance UID. Raises NotFound when there is none.

        Read page by page: instances that are stored or deleted meanwhile may be included or not.
        """
        ...

    def list_transfer_syntaxes(self, store: DicomStoreName, path: ResourcePath) -> list[str]:
        """The different transfer syntaxes of the instances below a path."""
        ...

    def get_header_packs(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Number → pack; packs that were deleted are missing."""
        ...


class SelectionIndex(Protocol):
    """The instances that the filter file of an operation has selected."""

    def count_selected(self, operation_id: int) -> int:
        """How many instances."""
        ...

    def walk_selected(self, operation_id: int, after: str = "") -> Iterator[StoredInstance]:
        """Like ``walk_store``: each instance once, however many paths name it."""
        ...


class UploadIndex(Protocol):
    """Instances stored by requests, and the lots that their bytes are written to (see ``studies.uploads``)."""

    def store_instances(self, store_id: int, instances: Sequence[Instance], replace: bool = False) -> set[Uids]:
        """Insert instances in one transaction. Returns the UIDs of those that existed; these are not changed.

        With ``replace`` they are replaced, and their old blobs become garbage. Raises NotFound when the store is
        deleted, and Aborted when an instance to be replaced has another storage class: the caller must read it first,
        because the bytes must be in the place of that class. Raises DataLoss where the index cannot hold a value of an
        instance, after all others are stored.
        """
        ...

    def replace_instance(
        self, store_id: int, replacement: Replacement, action: Action = Action.STORE
    ) -> Failure | None:
        """Give an instance new bytes and a new header; a Failure where it has changed since it was read. ``action`` has
        caused it. Raises NotFound when the store is deleted."""
        ...

    def begin_upload(self, store_id: int) -> int:
        """A new lot; its number. Raises NotFound when the store is deleted."""
        ...

    def end_upload(self, number: int, segments: Sequence[str] = ()) -> None:
        """Remove a lot and seal its segments: one that no row names is given up, now or when its last row goes."""
        ...

    def find_named(self, keys: Sequence[str]) -> set[str]:
        """Those of at most a few hundred keys of objects that rows name. Reads all rows where some of the objects hold
        one blob each."""
        ...

    def list_uploads(self) -> list[tuple[int, int]]:
        """(lot, store id) of all lots of servers that are gone; where one server has the index for itself, of all."""
        ...


class DeletionIndex(Protocol):
    """Deletion in one short transaction, however much is deleted.

    The same UIDs can be stored again at once. Rows and blobs are removed later; see ``GarbageIndex.purge_removed``.
    """

    def delete_below(self, store: DicomStoreName, path: ResourcePath, version: str, method: Method) -> Operation:
        """Remove a study or series; the finished operation. Raises NotFound."""
        ...

    def delete_instance(self, store: DicomStoreName, path: ResourcePath) -> None:
        """Remove one instance, and its series and study if they become empty. Raises NotFound."""
        ...


class GarbageIndex(Protocol):
    """What the sweeper removes: blobs without rows, and the contents of deleted stores."""

    def list_deleted_stores(self) -> list[int]:
        """Ids of stores that are deleted but not yet purged."""
        ...

    def purge_removed(self, limit: int = ...) -> bool:
        """Remove up to ``limit`` rows of studies and series that were deleted; True once none is left."""
        ...

    def purge_store(self, store_id: int, limit: int = ...) -> bool:
        """Remove up to ``limit`` rows of a deleted store; True once none is left.

        Its segments go, too, but for those that hold what was deleted from it before and is still to be removed.
        """
        ...

    def forget_store(self, store_id: int) -> None:
        """Remove the row of a purged store; does nothing to a store that is not deleted."""
        ...

    def list_blobs(self, after: str = "", limit: int = 1000) -> list[str]:
        """Keys of blobs that have lost their row, in order; those after the key ``after``.

        The key of a segment stands for all that is in it: nothing inside of it is listed then. What an operation has
        left may be listed as one key, too: see ``rests``.
        """
        ...

    def measure_unswept(self, most: int) -> Unswept:
        """What is waiting to be removed. At most ``most`` blobs are counted."""
        ...

    def add_blobs(self, keys: Sequence[str]) -> None:
        """List keys, also for what is not there yet: see ``operations.unfinished_exports``."""
        ...

    def forget_blobs(self, keys: Sequence[str]) -> None: ...


class DescriptionIndex(Protocol):
    """Attributes read from headers, updated in the background after an upgrade."""

    def list_undescribed(self, limit: int, after: tuple[int, str] = (0, "")) -> list[tuple[int, StoredInstance]]:
        """(store id, instance) for instances whose header was never read, in the order of series and UID, after such a
        place; none of deleted stores."""
        ...

    def describe(self, store_id: int, instances: Sequence[Instance]) -> None:
        """Store the descriptions of instances; skip those without one, or deleted, changed or described since."""
        ...

    def count_outdated(self) -> int:
        """How many studies have a row of an older READER."""
        ...

    def list_outdated_studies(self, after: tuple[int, int], limit: int) -> list[OutdatedStudy]:
        """Studies with a row of an older READER, in order, after the position ``after``."""
        ...

    def list_series(self, study_id: int, after: int, limit: int) -> list[OutdatedSeries]:
        """The series of a study with ids above ``after``, in order."""
        ...

    def list_first_in_series(self, series_id: int, limit: int) -> list[StoredInstance]:
        """Places of the headers of the instances that were stored first."""
        ...

    def list_first_in_study(self, study_id: int, limit: int) -> list[StoredInstance]:
        """Like ``list_first_in_series``, for all series of a study."""
        ...

    def are_there(self, places: Iterable[StoredInstance]) -> bool:
        """Whether all these instances exist with the same bytes as before."""
        ...

    def redescribe_series(
        self, study_id: int, before: OutdatedSeries, said: SeriesAttributes, places: Iterable[StoredInstance]
    ) -> bool:
        """False, and nothing is written, where the series or the instances have changed since they were read."""
        ...

    def redescribe_study(self, before: OutdatedStudy, said: StudyAttributes, places: Iterable[StoredInstance]) -> bool:
        """Like ``redescribe_series``, for a study, which then has the current READER."""
        ...

    def mark_described(self, studies: Sequence[OutdatedStudy]) -> None:
        """Set the current READER for studies whose attributes are right. Skips studies that were deleted."""
        ...
