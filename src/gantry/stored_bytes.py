"""The bytes of a stored instance: opened only where they are as many as its row says, and looked at more closely where
there is a doubt. What is wrong with them is DataLoss of that instance, whoever reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import google_crc32c

from gantry.checksums import HEAL, OTHER_SUM, require_sum
from gantry.containment import contain
from gantry.dicom.part10 import read_header
from gantry.errors import DataLoss, InvalidArgument
from gantry.reasons import Reason
from gantry.resources import Uids, path_of
from gantry.seams import Blobs, BlobStore, OpenedObject
from gantry.storage.extents import object_of


class WrongSize(DataLoss):
    """There are more or fewer bytes than were stored."""


def open_stored(blobs: BlobStore, key: str, size: int) -> OpenedObject:
    """Open the bytes of an instance. Raises DataLoss where they are not ``size`` bytes or the disk cannot read them,
    NotFound where nothing is there: they may have been moved, so the caller looks the row up again (``make_lost``)."""
    opened = blobs.open(key)
    try:
        require_size(opened.size, size)
    except WrongSize:
        with opened:
            raise
    return opened


def require_size(there: int, size: int) -> None:
    """Raises WrongSize where there are other than ``size`` bytes."""
    if there != size:
        raise WrongSize(
            f"its bytes are damaged: {there} of {size} are there", advice=HEAL, kind=Reason.STORED_BYTES_DAMAGED
        )


def make_lost(uid: str) -> DataLoss:
    """The error of an instance whose row names bytes that are not there."""
    return DataLoss(
        f"the bytes of instance {uid} are lost: its file is gone", advice=HEAL, kind=Reason.STORED_BYTES_DAMAGED
    )


UNKNOWN = -1


def find_damage(blobs: Blobs, key: str, size: int, uids: Uids, written: int | None = UNKNOWN) -> str:
    """Read all bytes of an instance; what is wrong with them, or "". ``written`` is their CRC32C, None where nobody
    knows it, UNKNOWN to look it up. Raises what ``open_stored`` raises."""
    with open_stored(blobs, key, size) as opened, contain(key, "while its bytes were checked"):
        damage = _find_damage(blobs, opened, uids, written)
        if damage and opened.read_anew():  # what was spoilt on its way is wrong but once
            damage = _find_damage(blobs, opened, uids, written)
        return damage


def _find_damage(blobs: Blobs, opened: OpenedObject, uids: Uids, written: int | None) -> str:
    try:
        header = read_header(opened.read_at, opened.size)
    except InvalidArgument as error:
        return f"its bytes are damaged: they are no whole DICOM instance any more ({error.what})"
    found = header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid
    if found != uids:
        return f"its bytes are those of another instance: {path_of(found)}"
    written = blobs.read_crc32cs([opened.key])[opened.key] if written == UNKNOWN else written
    if written is not None and read_crc32c(opened) != written:
        return OTHER_SUM
    return ""


class WrittenSums:
    """The CRC32Cs that the instances at ``keys`` were written with. The tables of contents of a segment are read once,
    when the first of its instances is asked for."""

    def __init__(self, blobs: Blobs, keys: Iterable[str]) -> None:
        self._blobs = blobs
        self._keys: defaultdict[str, list[str]] = defaultdict(list)
        for key in keys:
            self._keys[object_of(key)].append(key)
        self._found: dict[str, int | None] = {}

    def get(self, key: str) -> int | None:
        """None where nobody knows it. Raises NotFound, Unavailable."""
        if key not in self._found:
            self._found |= self._blobs.read_crc32cs(self._keys[object_of(key)])
        return self._found[key]


def require_as_written(opened: OpenedObject, written: int | None) -> None:
    """Read all bytes of an instance; raises DataLoss where they do not have the CRC32C ``written``."""
    if written is not None:
        require_sum(read_crc32c(opened), written)


def read_crc32c(opened: OpenedObject) -> int:
    """The CRC32C of all bytes of an object."""
    crc = 0
    for chunk in opened.chunks():
        crc = google_crc32c.extend(crc, chunk)
    return crc
