"""STOW-RS (PS3.18 §10.5): writes the instances of one request to blobs, then to the index, batch by batch.

An instance counts as stored when its bytes and its row are on disk. An error of one instance is reported for that
instance; an error of the server, after some are stored, is reported for the rest. So the answer is always complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from gantry.describing import Read, describe
from gantry.dicom.buffers import Held, Readable
from gantry.errors import AlreadyExists, BrokenBody, Code, InvalidArgument, Status, StatusError
from gantry.ingest import UIDS, identify, require_uids_or_stored
from gantry.names import DicomStoreName, ResourcePath, check_uids
from gantry.reasons import Reason
from gantry.resources import BlobStorageClass, Instance
from gantry.seams import Seams
from gantry.studies.damaged import heal
from gantry.studies.replacing import replace_all
from gantry.studies.uploads import Request, Uploads
from gantry.studies.work_slots import without_slot

IDENTICAL = "gantry-identical"
"""Label of a store: with the value ``accept``, storing the same bytes again is a success, as clients expect that send
again what they are not sure of."""

BATCH_ITEMS, BATCH_BYTES = 256, 256 << 20  # one sync and one commit per batch
_MOST_HELD = 1 << 20  # bytes: a shorter instance is checked in memory before it is written
_CLASS = BlobStorageClass.STANDARD.value
_ABOUT_REQUEST = (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)

MAX_UNREADABLE = 1000
"""Items of a request that are not instances; after that the rest is not read. Each takes the server as much time
as an instance, but the client almost none."""


class _TooManyUnreadable(InvalidArgument):
    """The request does not contain instances."""


class _NotWritten(Exception):
    """The instance was read, but not written."""

    def __init__(self, instance: Instance, error: StatusError) -> None:
        super().__init__(error.message)
        self.instance, self.error = instance, error


def _read_start(chunks: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """The first megabyte or so, and whether that was all."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > _MOST_HELD:
            return held, False
    return held, True


class Incoming(NamedTuple):
    """One instance of a request: its bytes, or the error why they cannot be read. ``name`` is for messages."""

    name: str
    chunks: Iterator[bytes]
    problem: StatusError | None = None


class Refused(NamedTuple):
    """An instance that was not stored. The UIDs are empty for what is not DICOM."""

    sop_class_uid: str
    sop_instance_uid: str
    status: Status
    study_instance_uid: str = ""


@dataclass
class Stored:
    """The result of a request."""

    instances: list[Instance] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def study(self) -> str:
        """The Study Instance UID, if it is the same for all stored instances (if none: for all refused ones), else
        ""."""
        studies = {item.study_instance_uid for item in self.instances or self.refused}
        return studies.pop() if len(studies) == 1 else ""


def store(
    seams: Seams,
    uploads: Uploads,
    name: DicomStoreName,
    incoming: Iterable[Incoming],
    study: str = "",
    replace: bool = False,
    is_strict: bool = False,
) -> Stored:
    """Store all instances that can be stored. ``study``: the UID they must have. ``replace`` existing ones.

    What is stored already, byte for byte, is refused as at Google, unless the store has the label IDENTICAL and the
    server is not ``is_strict``.
    Raises NotFound for the store, and the error of the server if it can store nothing at all.
    """
    resource = seams.index.resources.get_dicom_store(name)
    accepts = not is_strict and resource.labels.get(IDENTICAL) == "accept"
    other_uids = resource.labels.get(UIDS) == "any"
    below = ResourcePath(study)
    check_uids(below, other_uids or seams.index.instances.count_below(resource.id, below) > 0)
    with uploads.request(resource.id) as request:
        return _Request(seams, request, study, replace, accepts, other_uids).run(incoming)


class _Request:
    def __init__(
        self, seams: Seams, request: Request, study: str, replace: bool, accepts_same: bool, other_uids: bool
    ) -> None:
        self.seams, self.request = seams, request
        self.writer = request.writer(_CLASS)
        self.study, self.replace, self.accepts_same = study, replace, accepts_same
        self.other_uids = other_uids
        self.batch: list[Read] = []
        self.bytes = 0
        self.unreadable = 0
        self.done = Stored()

    def run(self, incoming: Iterable[Incoming]) -> Stored:
        try:
            try:
                self._take_all(incoming)
            except _TooManyUnreadable as error:
                if not self.done.instances and not self.batch:
                    raise
                self.done.refused.append(Refused("", "", error.status))
            self._commit()
        except BaseException:
            self._discard(self.batch)
            raise
        return self.done

    def _take_all(self, incoming: Iterable[Incoming]) -> None:
        for item in incoming:
            self._take(item)
            if len(self.batch) >= BATCH_ITEMS or self.bytes >= BATCH_BYTES:
                self._commit()

    def _take(self, item: Incoming) -> None:
        try:
            if item.problem is not None:
                raise item.problem
            read = self._write(item)
        except _NotWritten as failed:
            self._refuse(failed.error, _make_refused(failed.instance, failed.error.status))
            return
        except StatusError as error:
            self._refuse(error, Refused("", "", Status(error.code, f"{item.name}: {error.message}", kind=error.kind)))
            return
        if self.study and read.instance.study_instance_uid != self.study:
            self._delete(read.instance.blob_key)
            message = f"its StudyInstanceUID is {read.instance.study_instance_uid}, the address says {self.study}"
            problem = InvalidArgument(message, kind=Reason.UID_MISMATCH)
            self._refuse(problem, _make_refused(read.instance, problem.status))
            return
        if self.accepts_same and any(each.instance.uids == read.instance.uids for each in self.batch):
            self._commit()  # what is compared must be stored
        self.batch.append(read)
        self.bytes += read.instance.size

    def _write(self, item: Incoming) -> Read:
        """The instance with the key of its blob. Of a short one the header is read before it is written."""
        chunks = iter(item.chunks)
        held, ended = _read_start(chunks)
        if ended:
            data = b"".join(held)
            read = self._identify(Held(data), "", len(data), item.name)
            try:
                return read.at(self.writer.put((data,), read.instance.uids)[0])
            except StatusError as error:
                raise _NotWritten(read.instance, error) from error
        key, size = self.writer.put(chain(held, chunks))
        try:
            with self.seams.blobs.open(key) as blob:
                return self._identify(blob, key, size, item.name)
        except Exception:
            self._delete(key)
            raise

    def _identify(self, opened: Readable, key: str, size: int, name: str) -> Read:
        read = identify(opened, key, size, _CLASS, name)
        if not self.other_uids:
            require_uids_or_stored(self.seams, self.request.store_id, read.instance.uids)
        return read

    def _refuse(self, error: StatusError, refused: Refused) -> None:
        """Record a refused instance. An error of the whole request, before anything is stored, is raised."""
        if not self.done.instances and (isinstance(error, BrokenBody) or self._is_about_request(error)):
            raise error
        self.done.refused.append(refused)
        if refused.sop_instance_uid:
            return
        self.unreadable += 1
        if self.unreadable >= MAX_UNREADABLE:
            raise _TooManyUnreadable(
                f"{MAX_UNREADABLE} parts or objects of the request are not DICOM instances; the rest was not read"
            )

    def _is_about_request(self, error: StatusError) -> bool:
        return error.code in _ABOUT_REQUEST and not self.batch

    def _commit(self) -> None:
        batch, self.batch, self.bytes = self._drop_doubles(), [], 0
        if not batch:
            return
        written = [item.instance for item in batch]
        try:
            found = [item for item in describe(batch) if isinstance(item, Instance)]
            with without_slot():
                self.request.flush()
            stored, refused = self._store(found, written)
        except BaseException as error:
            self._settle([item.instance for item in batch], written, error)
            return
        self.done.instances += [item._replace(description=None) for item in stored]
        self.done.refused += refused
        kept = {item.blob_key for item in stored}
        for item in written:
            if item.blob_key not in kept:
                self._delete(item.blob_key)

    def _store(self, new: list[Instance], written: list[Instance]) -> tuple[list[Instance], list[Refused]]:
        """(stored, refused): those that existed already are not changed."""
        store_id = self.request.store_id
        if self.replace:
            return replace_all(self.seams, self.request, new, written), []
        present = self.seams.index.uploads.store_instances(store_id, new)
        stored = [item for item in new if item.uids not in present]
        doubles = [item for item in new if item.uids in present]
        if not doubles:
            return stored, []
        healed, same, unknown = heal(self.seams, store_id, doubles)
        stored += [item for item in doubles if item.uids in healed]
        accepted = same if self.accepts_same else set()
        self.done.instances += [item._replace(description=None) for item in doubles if item.uids in accepted]
        refused = [item for item in doubles if item.uids not in healed | accepted]
        problems = [unknown.get(item.uids) or _make_exists_status(item, item.uids in same) for item in refused]
        return stored, [_make_refused(item, problem) for item, problem in zip(refused, problems, strict=True)]

    def _settle(self, batch: list[Instance], written: list[Instance], error: BaseException) -> None:
        """After a commit that ended in an error: what has rows nevertheless is stored. Raises the error of the rest."""
        kept = self.request.settle(written)
        stored = {item.uids: item for item in written if item.blob_key in kept}
        self.done.instances += stored.values()
        lost = [item for item in batch if item.uids not in stored]
        if not isinstance(error, StatusError) or (lost and not self.done.instances):
            raise error
        self.done.refused += [_make_refused(item, error.status) for item in lost]

    def _drop_doubles(self) -> list[Read]:
        """Refuse the second of two instances with the same UIDs in one batch, like one that exists already."""
        seen: set[tuple[str, str, str]] = set()
        kept = []
        for item in self.batch:
            if item.instance.uids in seen:
                self._delete(item.instance.blob_key)
                self.done.refused.append(_make_refused(item.instance, _make_exists_status(item.instance)))
            else:
                seen.add(item.instance.uids)
                kept.append(item)
        return kept

    def _discard(self, batch: Iterable[Read]) -> None:
        for item in batch:
            self._delete(item.instance.blob_key)

    def _delete(self, key: str) -> None:
        self.request.discard(key)


def _make_refused(item: Instance, status: Status) -> Refused:
    return Refused(item.sop_class_uid, item.sop_instance_uid, status, item.study_instance_uid)


def _make_exists_status(item: Instance, is_same: bool = False) -> Status:
    kind = Reason.ALREADY_STORED if is_same else Reason.ALREADY_EXISTS_DIFFERENT
    return AlreadyExists(f"an instance with these UIDs already exists: {item.path}", kind=kind).status
