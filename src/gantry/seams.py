"""The ports of the services: what they need of storage and executors. Adapters implement them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

from gantry.backoff import Backoff
from gantry.errors import StatusError, Unavailable
from gantry.followed import Followed
from gantry.index_protocols import Index
from gantry.log_entries import LogEntry
from gantry.membership import Membership
from gantry.notices import NoPublisher, Publisher
from gantry.query_seams import NO_QUERIES, QueryEngine
from gantry.resources import ObjectMeta, Operation, Uids
from gantry.storage.extents import Entry
from gantry.storage.uris import BucketKind
from gantry.table_seams import NO_WAREHOUSE, Warehouse
from gantry.worker_calls import Check, Window, Workers

MAIN = "main"  # the place of every storage class that has no directory of its own


class OpenedObject(ABC):
    """An object open for reading. ``size`` in bytes; ``packed_size`` where its source holds it compressed.

    ``is_unchecked``: bytes were read that could be compared with no checksum of the provider. ``is_copied_there``: it
    was copied by its provider, so that its bytes did not come here.
    """

    key: str
    size: int
    packed_size: int | None = None
    is_unchecked = False
    is_copied_there = False

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end of the object."""

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """All bytes, in pieces of bounded size. Raises Aborted where the object was shortened or written to while it
        was read."""

    def read_anew(self) -> bool:
        """Drop what was read, because it may have been spoilt on its way; the same object is read again then. False
        where that cannot be."""
        return False

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def without_gaps(found: Iterable[ObjectMeta]) -> Iterator[ObjectMeta]:
    """The objects of a listing, for callers that take unlisted objects for missing. Raises Unavailable at the end if a
    directory could not be read."""
    gap: ObjectMeta | None = None
    for each in found:
        if each.problem and each.key.endswith("/"):
            gap = gap or each
        else:
            yield each
    if gap is not None:
        raise Unavailable(f"{gap.key}: {gap.problem}")


class BlobStore(Protocol):
    """One bucket. Raises NotFound, PermissionDenied and Unavailable; can be pickled and sent to a worker."""

    def exists(self) -> bool:
        """Whether the bucket exists."""
        ...

    def require_mounted(self) -> None:
        """Raises BucketAway, DiskAway where its directory is not the one that was opened: its disk is not mounted any
        more."""
        ...

    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]:
        """Objects by prefix, sorted by the UTF-8 bytes of their keys; ``depth``: at most so many ``/`` in a key.

        ``check`` is called regularly, also while no object is found.
        """
        ...

    def head(self, key: str) -> ObjectMeta:
        """Raises NotFound."""
        ...

    def open(self, key: str) -> OpenedObject: ...

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write one object, whole or not at all. Returns the number of bytes. An older object of this key stays until
        the new one takes its place, in ``flush`` at the latest."""
        ...

    def copy_from(self, source: OpenedObject, key: str) -> int:
        """Write one object with the bytes of another. Returns the number of bytes."""
        ...

    def delete(self, key: str) -> None: ...

    def delete_prefix(self, prefix: str, start_after: str = "", check: Check | None = None, before: str = "") -> int:
        """Delete what sorts after ``start_after``, and before ``before`` where that is given. Durable on return. Raises
        Unavailable where not all objects could be listed, after all others are deleted."""
        ...

    def flush(self) -> None:
        """Return when all earlier writes are durable. Raises Unavailable when they are not."""
        ...


class Bucket(BlobStore, Protocol):
    concurrency: int
    """How many calls are worth making at the same time: 1 for a disk, many where each waits for a network."""

    def open_found(self, found: ObjectMeta) -> OpenedObject:
        """Open what a listing has found. Raises Aborted where it is known to be another object now."""
        ...

    @property
    def identity(self) -> str:
        """What tells this bucket from another one in its place, also after a restart of the system."""
        ...

    def is_same(self, identity: str) -> bool:
        """Whether it is the bucket that had this ``identity`` before."""
        ...

    def list_folders(self, prefix: str = "", limit: int = 1000) -> Sequence[str]:
        """The first ``limit`` prefixes, ending in ``/``, directly below ``prefix`` (empty, or ending in ``/``), sorted
        by their bytes; none if ``prefix`` does not exist. Raises PermissionDenied, Unavailable."""
        ...

    def delete_unfinished(self, prefix: str, depth: int, check: Check | None = None) -> None:
        """Remove the temporary objects that this writer, and no other, has left below ``prefix`` (empty or ending in
        ``/``), with at most ``depth`` ``/`` in a key. Raises the error of one that stays, at the end; BucketAway."""


class BlobWriter(Protocol):
    """Writes the bytes of instances under keys that it chooses; no two keys are ever the same, in any process.

    What is written is durable after ``flush``, not before: only then may a row name it. Safe to use from many threads:
    calls of ``flush`` that wait at the same time share one sync. A thread flushes what it has written itself: where a
    sync of its bytes failed that another thread had asked for, its own next ``flush`` says so. Raises ResourceExhausted
    where the disk is full, and PermissionDenied, Unavailable, and Aborted where a source changes while it is read.
    """

    left: tuple[str, ...]
    """After ``close``: the keys of what is not in use and could not be removed. They are garbage."""

    late: tuple[str, ...]
    """After ``close``: where something may still come that was given up, as keys for the list of garbage
    (``late_writes``)."""

    def put(self, chunks: Iterable[bytes], uids: Uids | None = None) -> tuple[str, int]:
        """The key and the number of bytes. Without ``uids`` (they are not known yet) the bytes get an object of their
        own."""
        ...

    def copy_from(self, source: OpenedObject, uids: Uids, written: int | None = None) -> str:
        """Write the bytes of an open object; the key. ``written``: the CRC32C they were written with, None where nobody
        knows it. Raises DataLoss where they have another one now: no copy is made of damaged bytes."""
        ...

    def discard(self, key: str) -> None:
        """Delete what this writer has written as ``key`` and nobody has been told of."""
        ...

    def flush(self) -> None:
        """Return when all that was written before this call is durable, with its table of contents."""
        ...

    def close(self) -> tuple[str, ...]:
        """Write no more. The keys of the segments this writer has written, none where each instance has its own
        object. What was not flushed, and a segment with nothing in it, is removed, but for what is ``left`` then.
        Durable on return: nothing that was discarded or removed comes back after a crash. Raises DiskAway, NoRoom."""
        ...


class Blobs(BlobStore, Protocol):
    """Where the bytes of stored instances lie. A blob's key may be an address inside a segment
    (``storage.extents``): ``open`` opens what it names, ``delete`` frees exactly that and nothing beside it, and raises
    Unavailable while somebody reads it. The key of a segment itself deletes it with all that it holds.

    ``open``, and reading what it has opened, raise Unreadable where the disk cannot read the bytes now, and another
    DataLoss where something else stands in their place; NotFound says that nothing is there.
    """

    def writer(self, prefix: str) -> BlobWriter:
        """A writer whose keys begin with ``prefix``, which begins with the name of a place."""
        ...

    def sync_removed(self, directories: set[str]) -> None:
        """Return when blobs that were deleted directly below these prefixes cannot come back. Raises Unavailable."""
        ...

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        """Delete blobs as ``delete`` does, durable on return; the errors of those that could not be deleted."""
        ...

    def find_absence(self, place: str = "") -> str:
        """Why the directory of a place, or of any of them, is not there or cannot be read, to follow its name; "" where
        it is."""
        ...

    def find_shortage(self, place: str) -> str:
        """That the disk of a place has no room for instances, as a sentence; "" where it has."""
        ...

    def find_lost(
        self, held: Sequence[tuple[ObjectMeta, Collection[str]]], whole: bool = False
    ) -> Sequence[dict[str, StatusError]]:
        """Of objects of one place that a listing has just found, each with the keys of the blobs in it: what ``open``
        would raise, by the keys of those that cannot be opened. The cost is by object, not by blob; nothing need be
        read of an object of its own. In a bucket a range of zeros is noticed only where something of its segment was
        freed, or with ``whole``, which reads each segment. Raises the error of a place that is away."""
        ...

    def hold(self, segment: str) -> Blobs:
        """The same, to read all that is in a segment: in a bucket it has been read by one request, and ``open``,
        ``entries``, ``count_freed`` and ``count_unlisted`` say what was there then. Raises NotFound, Unavailable."""
        ...

    def entries(self, segment: str) -> Iterator[Entry]:
        """What the tables of contents of a segment say, without the instances that have been freed since. What was
        written but not flushed before a crash stands in none. Raises NotFound, Unavailable."""
        ...

    def read_crc32cs(self, keys: Collection[str]) -> dict[str, int | None]:
        """The CRC32Cs that the bytes of blobs were written with, as the tables of contents of their segment say it;
        None where none does. ``keys`` lie in one segment, or are one object of its own. Raises NotFound, Unavailable.
        """
        ...

    def count_freed(self, segment: str) -> int:
        """How many instances its tables of contents list that have been freed since. Raises NotFound, Unavailable."""
        ...

    def count_unlisted(self, segment: str, named: Collection[str]) -> int:
        """How many bytes of a segment, in whole blocks, no table of contents lists, without those of the keys
        ``named``: a table is damaged, or a crash came before they were flushed. Raises NotFound, Unavailable."""
        ...

    def list_store_ids(self) -> list[int]:
        """The numbers of the stores that have a directory of blobs, sorted. What lies beside the directories of places
        is none of ours, and not looked at."""
        ...

    def list_numbers(self, prefix: str) -> list[int]:
        """The directories directly below ``prefix``, without ``/`` at its end, whose names are numbers that the index
        gives to stores and uploads. Raises Unavailable."""
        ...

    def free_rest(self, segment: str, live: Collection[str]) -> None:
        """Free all bytes of a segment that nobody writes to any more but those of the keys ``live`` and its tables of
        contents; the whole segment where none is live. An object of its own is deleted unless ``live`` has its key.
        Raises Unavailable while somebody reads what is to be freed."""
        ...

    def end_uploads(self, prefix: str) -> None:
        """Remove the parts of objects below a prefix that are not whole: nobody writes there any more. What a provider
        does not list, or not to this server, stays. Raises Unavailable, DiskAway."""
        ...


class StoreRecords(Protocol):
    """Keeps the names of stores beside their blobs."""

    def keep(self, store_ids: Collection[int], place: str) -> None:
        """Return when the names of these stores can be found without the index, beside the blobs of a place: before
        the first of them is written there. No other place has a part in it. Raises ResourceExhausted, PermissionDenied,
        Unavailable."""
        ...

    def forget(self, store_id: int) -> None:
        """The store was deleted. Raises as ``keep`` does."""
        ...


class NoRecords:
    """Where nobody asks for the names."""

    def keep(self, store_ids: Collection[int], place: str) -> None: ...

    def forget(self, store_id: int) -> None: ...


NO_RECORDS = NoRecords()


class BucketUse(NamedTuple):
    """An operation's use of a bucket: it will ``read`` or ``write`` keys that begin with ``prefix``. ``bucket`` is its
    address, ``gs://NAME``.

    ``dataset`` is the full name of its dataset; ``writer`` makes its temporary names unique.
    """

    bucket: str
    right: Literal["read", "write"]
    prefix: str
    dataset: str
    writer: str = ""


@dataclass(frozen=True, slots=True)
class Seams:
    """The adapters that the settings choose. ``bucket`` opens a bucket and raises NotFound, PermissionDenied;
    ``buckets`` returns the addresses of those that a dataset may read or write; ``kind_of`` says what an address is.

    ``is_held`` says that no blob that had a row may be deleted now, because a backup is made, or because a copy of this
    server uses the same bucket.

    ``executor`` runs the batches of operations, ``pixels`` the pixel work of requests.
    ``window`` is how many batches of an operation may run at a time. ``places`` are the first segments that keys in
    ``blobs`` may have: ``main``, and each storage class that has a directory of its own. ``retention_days`` is how long
    finished operations are kept, 0 for ever; ``changes_days`` how long the change feed keeps what happened, 0 where
    there is none. ``listener`` gets the entries of error logs once they are committed.
    ``undeletable`` are garbage and deleted stores that could not be removed from the disk. ``left_lots`` are lots of
    uploads, and the numbers of their stores, that nobody uses any more and that could not be ended: they are swept.
    ``members`` are the servers that share the index. ``publisher`` sends messages about instances, ``notified`` counts
    them. ``warehouse`` has the tables of metadata, ``streamed`` counts the rows of those that follow stores,
    ``queries`` runs SQL over them.
    ``late_places`` are those where a write may come that was given up (``late_writes``): buckets of a provider, or all.
    """

    index: Index
    blobs: Blobs
    bucket: Callable[[BucketUse], Bucket]
    executor: Workers
    pixels: Workers
    window: Window
    places: tuple[str, ...] = (MAIN,)
    retention_days: int = 30
    changes_days: int = 7
    listener: Callable[[Operation, Sequence[LogEntry]], None] | None = None
    buckets: Callable[[str, Literal["read", "write"]], Sequence[str]] = lambda dataset, right: ()
    kind_of: Callable[[str], BucketKind] = lambda address: BucketKind.DIRECTORY
    undeletable: Backoff = field(default_factory=Backoff)
    left_lots: list[tuple[int, int]] = field(default_factory=list)
    records: StoreRecords = NO_RECORDS
    late_places: tuple[str, ...] = ()
    is_held: Callable[[], bool] = lambda: False
    members: Membership = field(default_factory=Membership)
    warehouse: Warehouse = NO_WAREHOUSE
    queries: QueryEngine = NO_QUERIES
    publisher: Publisher = field(default_factory=NoPublisher)
    notified: Followed = field(default_factory=lambda: Followed("published", "failed", "given_up"))
    streamed: Followed = field(default_factory=lambda: Followed("written", "without_header", "too_long", "given_up"))

    def place_of(self, storage_class: str) -> str:
        """The place for new bytes of a storage class."""
        return storage_class if storage_class in self.places else MAIN
