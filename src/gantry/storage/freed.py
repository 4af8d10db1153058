"""Which ranges of a segment have no bytes any more: those that begin with nothing but zeros."""

from __future__ import annotations

from gantry.seams import OpenedObject

CHECKED = 512
"""Bytes at the beginning of a range that say whether it was freed: all of them are zero then. The storage puts no
instance into a segment that begins so, and no DICOM file does (PS3.10 §7.1: 128 bytes, then ``DICM``)."""

_ZEROS = bytes(CHECKED)


def is_freed(opened: OpenedObject, offset: int, length: int) -> bool:
    """Whether a range has no bytes any more."""
    return looks_freed(opened.read_at(offset, min(length, CHECKED)))


def looks_freed(start: bytes) -> bool:
    return _ZEROS.startswith(start)
