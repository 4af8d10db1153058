"""``dicomStores.import``: objects of a bucket into a DICOM store."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from gantry.checkpoints import advance, advance_past
from gantry.counters import Transfer
from gantry.errors import Code, InvalidArgument, NotFound, Status, StatusError
from gantry.healing import find_damaged_headers, is_lost, make_replacement, make_unknown
from gantry.ingest import (
    Ingested,
    Pair,
    accepts_other_uids,
    compare_bytes,
    ingest_batch,
    make_printable,
    require_uids_or_stored,
)
from gantry.names import are_uids
from gantry.operations.batch_writers import Tries
from gantry.operations.batches import cut, describe_death, run_batch, run_in_order
from gantry.operations.blob_keys import batch_prefix
from gantry.operations.bucket_use import open_bucket
from gantry.operations.failed_objects import FailedObjects
from gantry.operations.interruption import Stopping, go_on, make_stop_check
from gantry.operations.no_match import describe_source
from gantry.reasons import Reason
from gantry.resources import Batch, Failure, Instance, ObjectMeta, Operation, Replacement, StoredInstance, Uids
from gantry.seams import BlobStore, Bucket, Seams
from gantry.storage.uris import UriPattern
from gantry.worker_calls import LISTEN_SECONDS, Check, WorkerDied

MOST_HELD = 20_000
"""Entries that were counted and wait for the import, each of some 300 bytes. With more the rest of the bucket is listed
twice: memory does not grow with it."""
_COUNT_SECONDS = 2.0  # for the count to end; in a bucket that does not answer it hangs, and is left alone

_CHECK_EVERY = 64  # entries of a listing, which calls its check itself where it takes long
_UIDS_OF = itemgetter(slice(3))  # as ``Instance.uids``
_READING = "read this object; the object may be malformed beyond what can be read"


def import_dicom_data(seams: Seams, operation: Operation, check: Check = go_on) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. Raises NotFound for a missing bucket and for a pattern that matches nothing, and
    BucketAway."""
    pattern = UriPattern.parse(operation.request["uri"])
    source = open_bucket(seams, operation, pattern.bucket, "read", pattern.prefix)
    source_uri = f"{pattern.bucket}/"
    place = seams.place_of(operation.request["storage_class"])
    seams.records.keep([operation.store_id], place)

    def directory(number: int) -> str:
        return f"{place}/{batch_prefix(operation, number)}"

    tries = Tries(seams)
    other_uids = accepts_other_uids(seams, operation.store)

    def submit(number: int, objects: Sequence[ObjectMeta], offset: int) -> Future[list[Ingested]]:
        call = seams.executor.submit(
            ingest_batch,
            list(objects),
            offset,
            source=source,
            source_uri=source_uri,
            blobs=seams.blobs,
            blob_prefix=directory(number),
            storage_class=operation.request["storage_class"],
        )
        return tries.add(number, call)

    def on_death(item: ObjectMeta, error: WorkerDied) -> Ingested:
        return describe_death(make_printable(source_uri + item.key), _READING, error), 0, False

    done, checkpoint = operation.counter.success + operation.counter.failure, operation.checkpoint
    with _count(seams, operation, source, pattern, done) as count:
        batches = cut(count.list(check), lambda item: item.size)
        with closing(run_in_order(submit, batches, seams.window, on_death, check)) as results:
            for number, objects, ingested in results:
                done += len(objects)
                outcomes = [outcome for outcome, _, _ in ingested]
                checkpoint = advance_past(checkpoint, objects)
                written = [item for item in outcomes if isinstance(item, Instance)]
                refused = {} if other_uids else _refuse_other_uids(seams, operation.store_id, written)
                left = tries.find_left(number, (directory(number),), (item.blob_key for item in written))
                yield Batch(
                    checkpoint=checkpoint,
                    instances=tuple(item for item in written if item.blob_key not in refused),
                    failures=(*(item for item in outcomes if isinstance(item, Failure)), *refused.values()),
                    listed=max(count.value, done),
                    blob_prefix=batch_prefix(operation, number),
                    garbage=(*left, *refused),
                    transfer=_add_up(ingested),
                )
    source.require_mounted()
    if not done:
        what = f"{make_printable(str(pattern))} matches no object: {describe_source(source, pattern, check)}"
        raise NotFound(what, kind=Reason.NO_MATCH)
    counted = seams.index.operations.get_operation(operation.name).counter
    if missing := max(counted.listed, count.value) - done:
        gone = Failure(operation.subject, Status(Code.NOT_FOUND, _describe_missing(missing), kind=Reason.OBJECT_GONE))
        yield Batch("", warnings=(gone,), is_end=True)


def _count(seams: Seams, operation: Operation, source: Bucket, pattern: UriPattern, done: int) -> Count | FailedObjects:
    if "failures_of" in operation.request:
        return FailedObjects(seams, operation, source, pattern, done)
    return Count(source, pattern, operation.checkpoint, done)


def _add_up(ingested: Sequence[Ingested]) -> Transfer:
    _, sizes, are_unchecked = zip(*ingested, strict=True) if ingested else ((), (), ())
    return Transfer(sum(sizes), sum(are_unchecked))


def _refuse_other_uids(seams: Seams, store_id: int, written: Sequence[Instance]) -> dict[str, Failure]:
    """Failures by the key of the blob: of instances whose UIDs the store does not accept, and does not have either.

    Workers do not use the index, so they have written them.
    """
    refused: dict[str, Failure] = {}
    if are_uids(chain.from_iterable(map(_UIDS_OF, written))):
        return refused
    for item in written:
        try:
            require_uids_or_stored(seams, store_id, item.uids)
        except InvalidArgument as error:
            refused[item.blob_key] = Failure(item.resource, error.status)
    return refused


def _describe_missing(count: int) -> str:
    return f"{count:,} objects were counted, and gone when it was their turn; they were removed, or a disk was"


def list_matching(
    source: BlobStore, pattern: UriPattern, start_after: str = "", check: Check = go_on
) -> Iterator[ObjectMeta]:
    """Objects that match the pattern, sorted by key. A directory that cannot be listed is always included, with its
    problem. ``check`` is called regularly, also while nothing matches.
    """
    if not pattern.has_wildcard:
        try:
            if pattern.pattern > start_after:
                yield source.head(pattern.pattern)
        except NotFound:
            return
    else:
        for number, entry in enumerate(source.list(pattern.prefix, start_after, pattern.depth, check)):
            if not number % _CHECK_EVERY:
                check()
            if pattern.matches(entry.key) or (entry.problem and entry.key.endswith("/")):
                yield entry


class _Owner(NamedTuple):
    """What new bytes with the same UIDs are compared with; ``row`` is None for an instance of the same batch."""

    key: str
    size: int
    row: StoredInstance | None = None


def settle(seams: Seams, batch: Batch, stored: Mapping[Uids, StoredInstance], check: Check = go_on) -> Batch:
    """Settle instances whose UIDs exist already, in ``stored`` or earlier in the batch.

    Identical bytes are a success without a second copy; different bytes are a failure, and the first instance is kept.
    A stored instance whose bytes or header are damaged gets the new ones: the first that come.
    """
    owners = {uids: _Owner(row.blob_key, row.size, row) for uids, row in stored.items()}
    new: list[Instance] = []
    doubles: list[Instance] = []
    for item in batch.instances:
        (doubles if item.uids in owners else new).append(item)
        owners.setdefault(item.uids, _Owner(item.blob_key, item.size))
    healed: list[Replacement] = []
    while doubles:
        compared = [(item, owners[item.uids]) for item in doubles]
        verdicts = _compare(seams, compared, check)
        damaged = _find_damaged(seams, compared, verdicts)
        doubles, refused, failures = [], [], []
        for (item, owner), verdict in zip(compared, verdicts, strict=True):
            if owners[item.uids] is not owner:
                doubles.append(item)  # the first that came has taken the place of what it was compared with
            elif owner.row is not None and (is_lost(verdict) or item.uids in damaged):
                healed.append(make_replacement(seams, owner.row, item))
                owners[item.uids] = _Owner(item.blob_key, item.size)
            else:
                refused.append(item.blob_key)
                failures += _make_failures(item, verdict)
        batch = replace(
            batch,
            success=batch.success + len(refused) - len(failures),
            failures=(*batch.failures, *failures),
            garbage=(*batch.garbage, *refused),
        )
    return replace(batch, instances=tuple(new), replacements=(*batch.replacements, *healed))


def _compare(seams: Seams, compared: Sequence[tuple[Instance, _Owner]], check: Check) -> list[bool | Status]:
    def submit(items: Sequence[Pair], _offset: int) -> Future[list[bool | Status]]:
        return seams.executor.submit(compare_bytes, list(items), blobs=seams.blobs)

    def on_death(pair: Pair, error: WorkerDied) -> Status:
        return describe_death(pair.new, "read them", error).status

    pairs = [Pair(item.blob_key, owner.key, owner.size, item.uids) for item, owner in compared]
    return run_batch(submit, pairs, on_death, check)


def _find_damaged(
    seams: Seams, compared: Sequence[tuple[Instance, _Owner]], verdicts: Sequence[bool | Status]
) -> set[Uids]:
    """Those that have come again with the same bytes, and whose stored headers are damaged."""
    same = [owner.row for (_, owner), verdict in zip(compared, verdicts, strict=True) if verdict is True]
    return find_damaged_headers(seams, [row for row in same if row is not None])


def _make_failures(item: Instance, verdict: bool | Status) -> list[Failure]:
    if verdict is True:
        return []
    if verdict is False:
        message = "an instance with these UIDs exists and its content differs (checksum mismatch); it was kept"
        return [
            Failure(
                item.resource,
                Status(Code.ALREADY_EXISTS, f"{message}: {item.path}", kind=Reason.ALREADY_EXISTS_DIFFERENT),
            )
        ]
    return [Failure(item.resource, make_unknown(item.path, verdict))]


class Count:
    """Counts the objects of an operation in a thread, ahead of the work, so that ``pending`` is what remains: those
    behind its checkpoint, and ``done``. What has come before the checkpoint meanwhile is not part of it.

    What is counted in a bucket of a provider is handed on to the import, so that it is listed once, where each page is
    a request that costs. Of a directory every object is looked at when its turn comes.
    """

    def __init__(self, source: Bucket, pattern: UriPattern, checkpoint: str, done: int) -> None:
        self.value = done
        self._source, self._pattern, self._checkpoint = source, pattern, checkpoint
        self._stop, self._changed = threading.Event(), threading.Condition()
        self._held: deque[ObjectMeta] = deque()
        self._hands_on, self._is_complete = source.concurrency > 1, False
        self._error: StatusError | None = None
        self._thread = threading.Thread(target=self._count, name="count", daemon=True)

    def _count(self) -> None:
        try:
            check = make_stop_check(self._stop)
            for entry in list_matching(self._source, self._pattern, self._checkpoint, check):
                self.value += 1
                self._hand_on(entry)
            self._is_complete = self._hands_on
        except Stopping:
            return
        except StatusError as error:
            if error.waits_for is None and self._hands_on:
                self._error = error  # keys out of order: whoever lists from there on would miss some
            return  # else the listing of the import itself meets the same error and reports it
        finally:
            with self._changed:
                self._hands_on = False
                self._changed.notify()

    def _hand_on(self, entry: ObjectMeta) -> None:
        if self._hands_on:
            with self._changed:
                self._held.append(entry)
                self._hands_on = len(self._held) < MOST_HELD
                self._changed.notify()

    def list(self, check: Check) -> Iterator[ObjectMeta]:
        """The entries behind the checkpoint: those that were handed on, then what is listed from there. Raises the
        error that has ended the listing that was handed on, unless it may pass."""
        reached = self._checkpoint
        while (entry := self._take(check)) is not None:
            reached = advance(reached, entry)
            yield entry
        if self._error is not None:
            raise self._error
        if not self._is_complete:
            yield from list_matching(self._source, self._pattern, reached, check)

    def _take(self, check: Check) -> ObjectMeta | None:
        """None where nothing is handed on any more."""
        while True:
            with self._changed:
                if not self._held and self._hands_on:
                    self._changed.wait(LISTEN_SECONDS)
                if self._held:
                    return self._held.popleft()
                if not self._hands_on:
                    return None
            check()

    def __enter__(self) -> Count:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_COUNT_SECONDS)
