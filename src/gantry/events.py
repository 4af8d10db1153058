"""What happened to the instances of a DICOM store, one event for each: stored, replaced, updated, moved, deleted."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import zstandard

from gantry.errors import DataLoss
from gantry.resources import Method, Uids


class Kind(StrEnum):
    """REPLACED: other bytes have taken the place of the stored ones. UPDATED: its metadata were patched. MOVED: it has
    another storage class."""

    STORED = "STORED"
    REPLACED = "REPLACED"
    UPDATED = "UPDATED"
    MOVED = "MOVED"
    DELETED = "DELETED"


class Action(StrEnum):
    """The action of the API that has caused it, as the attribute ``action`` of its Pub/Sub messages names it."""

    STORE = "StoreInstances"
    IMPORT = "ImportDicomData"
    UPDATE = "UpdateInstance"
    MOVE = "SetBlobSettings"
    DELETE = "DeleteInstances"


class Event(NamedTuple):
    """``version`` differs for all versions of an instance that were ever stored: a place in the index or among the
    blobs, so ``version_id`` is what is told. ``previous_class`` is empty unless there was another storage class."""

    kind: Kind
    action: Action
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    storage_class: str
    previous_class: str
    sop_instance_uid: str
    version: str

    @property
    def uids(self) -> Uids:
        return self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid

    @property
    def version_id(self) -> str:
        """Who gets it can only compare it."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.version.encode()).digest()[:12]).decode()


Told = tuple[Any, ...]
"""The values of an ``Event``, which many of them are quicker made without."""

BEGIN_ANEW = (
    "take a token with from=now, then read all that is stored with a search or an export, then go on with the token"
)
"""What to do without a position that is good."""


class Position(NamedTuple):
    """How far the feed of a store was read: ``offset`` events of the pack ``part`` of the transaction ``number``; 0 for
    all of them. ``check`` is the checksum of that pack: another one in its place is noticed."""

    number: int = 0
    part: int = 0
    offset: int = 0
    check: int = 0


class Page(NamedTuple):
    """Events with the times of their transactions; where to go on; what ``FeedIndex.find_news`` said before they were
    read; and where they begin."""

    events: list[tuple[datetime, Event]]
    position: Position
    news: tuple[int, int]
    start: Position


class FeedTotals(NamedTuple):
    """Packs that are kept, and how old the oldest is, in seconds; 0 where there is none."""

    packs: int
    age: float


def action_of(method: Method) -> Action:
    """Of what an operation does to instances."""
    return _ACTIONS.get(method, Action.UPDATE)


_ACTIONS = {Method.IMPORT_DICOM_DATA: Action.IMPORT, Method.SET_BLOB_STORAGE_SETTINGS: Action.MOVE}

_KINDS, _ACTION_NUMBERS = tuple(Kind), tuple(Action)
_LEVEL = 1  # of Zstandard, the fastest: UIDs of a batch are similar enough for it
_MAX_BYTES = 64 << 20  # far more than any pack holds: a limit for damaged data
_COMMON = itemgetter(*range(Event._fields.index("sop_instance_uid")))


def pack_events(events: Iterable[Told]) -> bytes:
    """Compressed JSON: what consecutive events have in common once, then SOP Instance UID and version of each."""
    groups = [
        [_KINDS.index(common[0]), _ACTION_NUMBERS.index(common[1]), *common[2:], [each[-2:] for each in some]]
        for common, some in groupby(events, _COMMON)
    ]
    return zstandard.ZstdCompressor(level=_LEVEL).compress(json.dumps(groups, separators=(",", ":")).encode())


def unpack_events(data: bytes) -> list[Event]:
    """Raises DataLoss for what ``pack_events`` did not write."""
    try:
        if zstandard.frame_content_size(data) > _MAX_BYTES:  # it is allocated without a look at max_output_size
            raise DataLoss("changes in the index are damaged: their declared size is too large")
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BYTES)
        return list(_read(json.loads(plain)))
    except (zstandard.ZstdError, ValueError, TypeError, IndexError, RecursionError):
        raise DataLoss("changes in the index are damaged") from None


def _read(groups: Any) -> Iterator[Event]:
    for kind, action, study, series, modality, storage_class, previous, some in groups:
        common = _KINDS[kind], _ACTION_NUMBERS[action], study, series, modality, storage_class, previous
        for uid, version in some:
            yield Event(*common, uid, version)


def checksum(time: int, data: bytes) -> int:
    """Of a pack of events."""
    return zlib.crc32(data, zlib.crc32(str(time).encode()))
