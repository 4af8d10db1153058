"""Which ranges of a segment have no bytes any more: those that begin with nothing but zeros."""

from __future__ import annotations

from collections.abc import Collection

from gantry.errors import NotFound, StatusError
from gantry.seams import OpenedObject
from gantry.storage.extents import parse_extent

CHECKED = 512
"""Bytes at the beginning of a range that say whether it was freed: all of them are zero then. The storage puts no
instance into a segment that begins so, and no DICOM file does (PS3.10 §7.1: 128 bytes, then ``DICM``)."""

_ZEROS = bytes(CHECKED)


def is_freed(opened: OpenedObject, offset: int, length: int) -> bool:
    """Whether a range has no bytes any more."""
    return looks_freed(opened.read_at(offset, min(length, CHECKED)))


def looks_freed(start: bytes) -> bool:
    return _ZEROS.startswith(start)


def find_freed(opened: OpenedObject, keys: Collection[str]) -> dict[str, StatusError]:
    """The ranges ``keys`` of an open segment that have no bytes, or that cannot be read, each with what opening it
    would raise. Raises the error of a place that is away."""
    lost: dict[str, StatusError] = {}
    for key in keys:
        extent = parse_extent(key)
        try:
            if extent is not None and not _has_bytes(opened, extent.offset, extent.length):
                lost[key] = NotFound("no such object")
        except StatusError as error:
            if error.waits_for is not None:
                raise
            lost[key] = error
    return lost


def _has_bytes(opened: OpenedObject, offset: int, length: int) -> bool:
    return 0 < length <= opened.size - offset and not is_freed(opened, offset, length)
