"""Instances: what is stored, how it comes, and how it goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

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
    """What is stored. An instance's identity is the whole triple (study, series, SOP instance) inside one store."""

    def find_stored(self, store_id: int, uids: Iterable[Uids]) -> dict[Uids, StoredInstance]:
        """Those of the instances with these UIDs that are stored."""
        ...

    def count_in_store(self, store_id: int) -> int:
        """All instances of a store."""
        ...

    def walk_store(self, store_id: int, after: str = "") -> Iterator[StoredInstance]:
        """All instances behind the position ``after``, in the order of their positions, which never changes."""
        ...

    def require(self, store: DicomStoreName, path: ResourcePath) -> None:
        """Raises NotFound when the store is not there, or nothing that ``path`` names is in it."""
        ...

    def get_storage_info(self, store: DicomStoreName, path: ResourcePath) -> StorageInfo:
        """Of one instance. Raises NotFound."""
        ...

    def count_below(self, store_id: int, path: ResourcePath) -> int:
        """How many instances a path names; 0 when it names nothing."""
        ...

    def walk_below(self, store_id: int, path: ResourcePath, after: str = "") -> Iterator[StoredInstance]:
        """Like ``walk_store``, those that a path names; nothing when it names nothing."""
        ...

    def list_below(self, store: DicomStoreName, path: ResourcePath) -> Iterator[StoredInstance]:
        """The instances a path names, by Series, then SOP Instance UID. Raises NotFound when there is none.

        Pages are read as they are asked for: what is stored or deleted meanwhile may be among them or not.
        """
        ...

    def list_transfer_syntaxes(self, store: DicomStoreName, path: ResourcePath) -> list[str]:
        """Those of the instances a path names, each once."""
        ...

    def get_header_packs(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Packs by their numbers; those that are gone are missing."""
        ...


class SelectionIndex(Protocol):
    """What the filter file of the operation of a number has selected."""

    def count_selected(self, operation_id: int) -> int:
        """How many instances."""
        ...

    def walk_selected(self, operation_id: int, after: str = "") -> Iterator[StoredInstance]:
        """Like ``walk_store``: each instance once, however many paths name it."""
        ...


class UploadIndex(Protocol):
    """Instances that come one request at a time, and the lots that their bytes are written to."""

    def store_instances(self, store_id: int, instances: Sequence[Instance], replace: bool = False) -> set[Uids]:
        """Insert instances in one transaction; the UIDs of those that are there already, which stay as they are.

        With ``replace`` these are replaced, and their blobs become garbage. Raises NotFound when the store is gone, and
        Aborted when an instance to be replaced has another storage class: the caller looks it up, since the bytes must
        lie in the place of that class.
        """
        ...

    def replace_instance(self, replacement: Replacement) -> Failure | None:
        """New bytes and a new header for an instance; the failure if it is not as it was read any more."""
        ...

    def seal(self, keys: Sequence[str]) -> None:
        """Nothing more is written to these segments. Those that no row names become garbage: call it after the last
        instance in them was stored."""
        ...

    def begin_upload(self, store_id: int) -> int:
        """A new lot. Raises NotFound when the store is gone."""
        ...

    def end_upload(self, number: int) -> None: ...

    def list_uploads(self) -> list[tuple[int, int]]:
        """Lots with the numbers of their stores."""
        ...


class DeletionIndex(Protocol):
    """One short transaction each, however much it removes: what is deleted is gone at once as a whole.

    The same UIDs can be stored again right afterwards. Rows and blobs go later; see ``GarbageIndex.purge_removed``.
    """

    def delete_below(self, store: DicomStoreName, path: ResourcePath, version: str, method: Method) -> Operation:
        """Remove a study or series; the operation that did it, done already. Raises NotFound."""
        ...

    def delete_instance(self, store: DicomStoreName, path: ResourcePath) -> None:
        """Remove one instance, and its series and study when they are empty then. Raises NotFound."""
        ...


class GarbageIndex(Protocol):
    """What the sweeper removes: blobs that have lost their rows, and what lies below deleted stores."""

    def list_deleted_stores(self) -> list[int]:
        """Numbers of stores that are deleted but not yet purged."""
        ...

    def purge_removed(self, limit: int = ...) -> bool:
        """Remove up to ``limit`` rows of studies and series that were deleted; True once none is left."""
        ...

    def purge_store(self, store_id: int, limit: int = ...) -> bool:
        """Remove up to ``limit`` rows below a deleted store; True once none is left.

        Its segments go, too, but for those that hold what was deleted from it before and is still to be removed.
        """
        ...

    def forget_store(self, store_id: int) -> None:
        """Remove the last trace of a purged store; nothing happens to one that is not deleted."""
        ...

    def list_blobs(self, after: str = "", limit: int = 1000) -> list[str]:
        """Keys of blobs that have lost their row, in order; those after the key ``after``.

        The key of a segment stands for all that is in it: nothing inside of it is listed then.
        """
        ...

    def forget_blobs(self, keys: Sequence[str]) -> None: ...


class DescriptionIndex(Protocol):
    """What rows say of headers, brought up to date in the background."""

    def list_undescribed(self, limit: int) -> list[tuple[int, StoredInstance]]:
        """Instances whose header nobody has looked at yet, with the numbers of their stores; none of deleted stores."""
        ...

    def describe(self, store_id: int, instances: Sequence[Instance]) -> None:
        """Write down what their headers say; nothing of those that are gone, changed or described meanwhile."""
        ...

    def count_outdated(self) -> int:
        """Studies that an older reader has described."""
        ...

    def list_outdated_studies(self, after: tuple[int, int], limit: int) -> list[OutdatedStudy]:
        """Those whose position is behind ``after``, in their order."""
        ...

    def list_series(self, study_id: int, after: int, limit: int) -> list[OutdatedSeries]:
        """The series of a study whose numbers are above ``after``, in their order."""
        ...

    def list_first_in_series(self, series_id: int, limit: int) -> list[StoredInstance]:
        """Where the headers of those instances are that came first."""
        ...

    def list_first_in_study(self, study_id: int, limit: int) -> list[StoredInstance]:
        """The same of all series of a study."""
        ...

    def are_there(self, places: Iterable[StoredInstance]) -> bool:
        """Whether the instances are there, with the bytes that they had."""
        ...

    def redescribe_series(
        self, study_id: int, before: OutdatedSeries, said: SeriesAttributes, places: Iterable[StoredInstance]
    ) -> bool:
        """False where something has changed since ``before`` and ``places`` were read: nothing is written then."""
        ...

    def redescribe_study(self, before: OutdatedStudy, said: StudyAttributes, places: Iterable[StoredInstance]) -> bool:
        """The same of a study, which is up to date then."""
        ...

    def mark_described(self, studies: Sequence[OutdatedStudy]) -> None:
        """They are up to date, and say what they should. Those that are gone are none."""
        ...
