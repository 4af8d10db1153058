"""Makes the rows of an index again from the blobs: of segments by their tables of contents, and of objects of their
own.

What has a row keeps it, so it may be run again after it was interrupted, and beside an older index it takes up what
that does not know. It deletes no bytes, and changes none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from gantry.containment import contain
from gantry.describing import Read, describe
from gantry.errors import AlreadyExists, Code, DataLoss, StatusError, Unreadable
from gantry.ingest import identify
from gantry.names import DicomStoreName
from gantry.operations.batches import cut, describe_death, run_in_order
from gantry.resources import BlobStorageClass, Failure, Instance, ObjectMeta, StoredInstance, Uids
from gantry.seams import MAIN, BlobStore, Seams
from gantry.storage.extents import SUFFIX, object_of, parse_extent
from gantry.worker_calls import WorkerDied

MAX_NAMED = 100
"""Blobs that a summary names, of those that cannot be taken up; the others are counted."""

_CHUNK = 200  # instances looked up in one query
_UNLISTED = "a table of contents is damaged, or a write was interrupted: no table lists"


class Blob(NamedTuple):
    """``uids`` are those of its table of contents; None for an object of its own."""

    key: str
    size: int
    uids: Uids | None = None


@dataclass
class StoreSummary:
    """What was found of one DICOM store. ``problem`` says why nothing of it was taken up, if so."""

    store_id: int
    name: str = ""
    problem: str = ""
    segments: int = 0
    objects: int = 0
    restored: int = 0
    bytes: int = 0
    known: int = 0
    duplicates: int = 0
    freed: int = 0
    unreadable: int = 0


@dataclass
class Summary:
    """``not_restored`` are blobs that could not be taken up: key, and why; the first MAX_NAMED of them."""

    stores: list[StoreSummary] = field(default_factory=list)
    not_restored: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, reason: str) -> None:
        if len(self.not_restored) < MAX_NAMED:
            self.not_restored.append((key, reason))

    @property
    def is_whole(self) -> bool:
        """Whether everything was taken up."""
        return not any(each.problem or each.unreadable or each.duplicates for each in self.stores)


def rebuild(
    seams: Seams, names: dict[int, DicomStoreName | None], progress: Callable[[Summary], None] = lambda _: None
) -> Summary:
    """Take up all blobs that have no row. ``names`` of stores by number, for those that have none in the index; None
    for one that was deleted. ``progress`` is called after each batch. Raises Interrupted, Unavailable."""
    summary = Summary()
    for store_id in seams.blobs.list_store_ids():
        found = StoreSummary(store_id)
        summary.stores.append(found)
        if _restore_store(seams, found, names):
            _Restoration(seams, found, summary, progress).run()
    return summary


def _restore_store(seams: Seams, found: StoreSummary, names: dict[int, DicomStoreName | None]) -> bool:
    """Whether the store has a row now. Sets its name, or the problem."""
    present = seams.index.restoration.find_stores([found.store_id])
    name = present.get(found.store_id, names.get(found.store_id))
    deleted = (found.store_id in present or found.store_id in names) and name is None
    found.name = str(name or "")
    newer = max((number for number, other in names.items() if other == name), default=0)
    another = f"give another name with --store {found.store_id}=projects/…/dicomStores/…"
    if deleted:
        found.problem = "the store was deleted"
    elif name is None:
        found.problem = f"its name is not known; give it with --store {found.store_id}=projects/…/dicomStores/…"
    elif found.store_id not in present and newer > found.store_id:
        found.problem = (
            f"DICOM store {name} exists already, as store {newer}: this one was deleted before, or was made beside an "
            f"index that was replaced by an older one. To take it up, {another}"
        )
    elif found.store_id not in present:
        try:
            seams.index.restoration.restore_store(found.store_id, name)
        except AlreadyExists as error:
            found.problem = f"{error.message}; {another}"
    return not found.problem


class _Restoration:
    """The blobs of one store become rows, batch by batch."""

    def __init__(
        self, seams: Seams, found: StoreSummary, summary: Summary, progress: Callable[[Summary], None]
    ) -> None:
        self._seams, self._found, self._summary, self._progress = seams, found, summary, progress
        self._open: set[str] = set()  # segments in which something has no row

    def run(self) -> None:
        read = partial(read_blobs, blobs=self._seams.blobs)
        submit: Any = lambda _number, items, _offset: self._seams.executor.submit(read, list(items))  # noqa: E731
        batches = cut(self._list_unknown(), lambda blob: 0)
        with closing(run_in_order(submit, batches, self._seams.window, _on_death)) as results:
            for _, blobs, outcomes in results:
                self._store(blobs, outcomes)
                self._progress(self._summary)
        self._seal()

    def _list_unknown(self) -> Iterator[Blob]:
        """Blobs without a row that are not to be deleted."""
        listed = self._list_all()
        while chunk := list(islice(listed, _CHUNK)):
            known = self._find_known(chunk)
            self._found.known += len(known)
            given_up = self._seams.index.restoration.list_garbage([blob.key for blob in chunk])
            self._found.freed += len(given_up)
            yield from (blob for blob in chunk if blob.key not in known and blob.key not in given_up)

    def _find_known(self, blobs: Sequence[Blob]) -> set[str]:
        inside = [blob.uids for blob in blobs if blob.uids]
        known = {
            each.blob_key for each in self._seams.index.instances.find_stored(self._found.store_id, inside).values()
        }
        known |= self._seams.index.uploads.find_named([blob.key for blob in blobs if not blob.uids])
        return known & {blob.key for blob in blobs}

    def _list_all(self) -> Iterator[Blob]:
        for place in self._seams.places:
            for each in self._list_place(place, self._refuse):
                if not each.key.endswith(SUFFIX):
                    self._found.objects += 1
                    yield Blob(each.key, each.size)
                    continue
                self._found.segments += 1
                if self._seams.index.restoration.list_garbage([each.key]):
                    continue
                yield from self._list_segment(each.key)

    def _list_place(self, place: str, report: Callable[[str, str], None]) -> Iterator[ObjectMeta]:
        """Objects of the store; what lies in a directory that cannot be read stays as it is. Raises DiskAway."""
        prefix = f"{place}/{self._found.store_id}/"
        try:
            for each in self._seams.blobs.list(prefix):
                if each.problem and each.key.endswith("/"):
                    report(each.key, each.problem)
                else:
                    yield each
        except StatusError as error:
            if error.waits_for is not None:
                raise
            report(prefix, error.what)

    def _list_segment(self, segment: str) -> Iterator[Blob]:
        try:
            blobs = self._seams.blobs.hold(segment)
            self._found.freed += blobs.count_freed(segment)
            for entry in blobs.entries(segment):
                extent = parse_extent(entry.key)
                yield Blob(entry.key, extent.length if extent else 0, entry.uids)
            if unlisted := blobs.count_unlisted(segment, ()):
                self._refuse(segment, f"{_UNLISTED} {unlisted} bytes; they stay")
        except StatusError as error:
            self._refuse(segment, error.message)

    def _store(self, blobs: Sequence[Blob], outcomes: Sequence[Instance | Failure]) -> None:
        for blob, outcome in zip(blobs, outcomes, strict=True):
            if isinstance(outcome, Failure):
                self._refuse(blob.key, outcome.status.message)
        read = [self._in_class(each) for each in outcomes if isinstance(each, Instance)]
        new = {each.uids: each for each in read}
        for each in read:
            if new[each.uids] is not each:
                self._duplicate(each, new[each.uids].blob_key)
        present, refused = self._insert(list(new.values()))
        self._count([each for uids, each in new.items() if uids not in present and uids not in refused])
        if present:
            self._replace_lost([new[uids] for uids in present])

    def _insert(self, instances: Sequence[Instance]) -> tuple[set[Uids], set[Uids]]:
        """The UIDs of those that had a row, and of those that the index cannot hold."""
        insert = partial(self._seams.index.uploads.store_instances, self._found.store_id)
        try:
            return set(insert(instances)), set()
        except DataLoss:  # one by one: which of them is it?
            present, refused = set[Uids](), set[Uids]()
        for each in instances:
            try:
                present |= set(insert([each]))
            except DataLoss as error:
                self._refuse(each.blob_key, error.message)
                refused.add(each.uids)
        return present, refused

    def _replace_lost(self, instances: Sequence[Instance]) -> None:
        """A row keeps the bytes that it names, unless they are gone."""
        stored = self._seams.index.instances.find_stored(self._found.store_id, [each.uids for each in instances])
        for each in instances:
            row = stored[each.uids]
            if _is_there(self._seams.blobs, row):
                self._duplicate(each, row.blob_key)
            else:
                instance = each._replace(storage_class=row.storage_class)
                self._seams.index.uploads.store_instances(self._found.store_id, [instance], replace=True)
                self._count([instance])

    def _in_class(self, instance: Instance) -> Instance:
        place = instance.blob_key.partition("/")[0]
        return instance._replace(storage_class=BlobStorageClass.STANDARD.value if place == MAIN else place)

    def _count(self, instances: Sequence[Instance]) -> None:
        self._found.restored += len(instances)
        self._found.bytes += sum(each.size for each in instances)

    def _duplicate(self, instance: Instance, other: str) -> None:
        self._found.duplicates += 1
        self._open.add(object_of(instance.blob_key))
        self._summary.add(instance.blob_key, f"{other} has the same UIDs, and is kept")

    def _refuse(self, key: str, reason: str) -> None:
        self._found.unreadable += 1
        self._open.add(object_of(key))
        self._summary.add(key, reason)

    def _seal(self) -> None:
        """Segments of which everything has a row: what is left of them can be moved and deleted as a whole later."""
        for place in self._seams.places:
            found = self._list_place(place, lambda *_: None)  # they are reported already
            keys = (each.key for each in found if each.key.endswith(SUFFIX) and each.key not in self._open)
            while chunk := list(islice(keys, _CHUNK)):
                self._seams.index.restoration.seal(chunk)


def read_blobs(items: Sequence[Blob], *, blobs: BlobStore) -> list[Instance | Failure]:
    """Read the headers of blobs. What is wrong with one becomes its Failure."""
    read: list[Read | Failure] = []
    for item in items:
        try:
            with contain(item.key, "while its header was read"), blobs.open(item.key) as opened:
                found = identify(opened, item.key, opened.size, "", item.key)
            if item.uids is not None and found.instance.uids != item.uids:
                raise DataLoss("its header has other UIDs than the table of contents: its bytes are damaged")
            read.append(found)
        except StatusError as error:
            read.append(Failure(item.key, error.status))
    return describe(read)


def _on_death(item: Blob, error: WorkerDied) -> Instance | Failure:
    return describe_death(item.key, "read this blob", error)


def _is_there(blobs: BlobStore, row: StoredInstance) -> bool:
    try:
        with blobs.open(row.blob_key) as opened:
            return opened.size == row.size
    except Unreadable:
        return True  # it may be readable later
    except StatusError as error:
        return error.code not in (Code.NOT_FOUND, Code.DATA_LOSS)
