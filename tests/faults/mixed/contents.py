"""The instances that are stored: each can be made again from a few numbers, and no two have the same bytes."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pydicom

from tests.faults.mixed.journal import Contradiction
from tests.support.dicom import make_instance

Uids = tuple[str, str, str]

ORIGINAL = "P1"
"""The PatientID of an instance that was never patched."""


class Content(NamedTuple):
    """What an instance of given UIDs holds. Of all versions of an instance no two are equally long.

    ``patient`` is ORIGINAL or what a patch has set; ``storage_class`` is where it is stored.
    """

    version: int
    size: int  # bytes of its pixels
    patient: str = ORIGINAL
    storage_class: str = "STANDARD"

    def is_same(self, other: Content) -> bool:
        """Whether both have the same bytes."""
        return self[:3] == other[:3]


def make_bytes(uids: Uids, content: Content) -> bytes:
    """The bytes of an instance that was never patched."""
    return _make(uids, content.version, content.size)


def find_uids(path: Path, directory: Path) -> Uids:
    """Of a file that an export has written to a directory."""
    study, series, name = path.relative_to(directory).parts
    return study, series, name.removesuffix(".dcm")


@lru_cache(maxsize=2000)
def _make(uids: Uids, version: int, size: int) -> bytes:
    mark = hashlib.sha256(f"{uids} {version} {size}".encode()).digest()
    head = f"{version:08d}{size:012d}".encode()
    pixels = head + (mark * (size // len(mark) + 1))[: size - len(head)]
    return make_instance(*uids, pixel_bytes=pixels, patient_id=ORIGINAL)


def read_content(uids: Uids, data: bytes) -> Content:
    """Which content of an instance these bytes are. Raises Contradiction for bytes that nobody has stored."""
    try:
        read = pydicom.dcmread(BytesIO(data))
        pixels = read.PixelData
        found = Content(int(pixels[:8]), int(pixels[8:20]), str(read.PatientID))
        if found.patient == ORIGINAL:
            whole = data == make_bytes(uids, found)
        else:
            wanted = pydicom.dcmread(BytesIO(make_bytes(uids, found)))
            wanted.PatientID = found.patient
            whole = read == wanted
    except Exception as error:
        raise Contradiction(f"{'/'.join(uids)}: {len(data)} bytes that are no instance: {error!r}") from error
    if not whole:
        raise Contradiction(f"{'/'.join(uids)}: {len(data)} bytes that nobody has stored (about {found})")
    return found
