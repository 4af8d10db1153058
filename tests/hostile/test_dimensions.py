"""Numbers of an image that cannot be true: sizes that overflow, indices behind the end of a table.

CVE-2026-5441 (runs that end in the middle), CVE-2026-5442 (dimensions under the VR UL, products that overflow),
CVE-2026-5443 (palette images of absurd size), CVE-2026-5445 (indices behind the palette); CWE-125, CWE-190, CWE-787.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from gantry.dicom import forms
from tests.hostile.neighbours import PALETTE, UIDS, Neighbours, bounded, with_numbers
from tests.pixels.instances import Extra, image
from tests.support.web import Web, uid_path

PIXELS = bytes(range(16))
GREY = image(PIXELS, 4, 4)
COLOUR = image(PIXELS, 4, 4, photometric="PALETTE COLOR", extra=PALETTE)
RGB = image(bytes(48), 4, 4, photometric="RGB", planar=0)
NATIVE = "transfer-syntax=1.2.840.10008.1.2.1"

ROWS, COLUMNS, FRAMES, SAMPLES, BITS, STORED, HIGH = "_0010", "_0011", "_0008", "_0002", "_0100", "_0101", "_0102"
ABSURD: dict[str, dict[str, tuple[str, int]]] = {
    "the most rows and columns": {ROWS: ("US", 65535), COLUMNS: ("US", 65535)},
    "rows × columns is 2³²": {ROWS: ("UL", 65536), COLUMNS: ("UL", 65536)},
    "rows × columns is 2³² + 16": {ROWS: ("UL", 4), COLUMNS: ("UL", 0x40000004)},
    "the most of 32 bits": {ROWS: ("UL", 0xFFFFFFFF), COLUMNS: ("UL", 0xFFFFFFFF)},
    "no rows": {ROWS: ("US", 0)},
    "no columns": {COLUMNS: ("US", 0)},
    "2³¹ frames": {FRAMES: ("IS", 2147483647)},
    "frames of twelve digits": {FRAMES: ("IS", 999999999999)},
    "no frames": {FRAMES: ("IS", 0)},
    "frames below zero": {FRAMES: ("IS", -1)},
    "65,535 samples": {SAMPLES: ("US", 65535)},
    "no samples": {SAMPLES: ("US", 0)},
    "two samples": {SAMPLES: ("US", 2)},
    "65,535 bits": {BITS: ("US", 65535)},
    "no bits": {BITS: ("US", 0)},
    "seven bits": {BITS: ("US", 7)},
    "more bits stored than allocated": {STORED: ("US", 65535)},
    "the high bit far above": {HIGH: ("US", 65535)},
    "all of them": {ROWS: ("US", 65535), COLUMNS: ("US", 65535), FRAMES: ("IS", 2147483647),
                    SAMPLES: ("US", 65535), BITS: ("US", 65535)},
}  # fmt: skip


def try_everything(neighbours: Neighbours, frame: str = "1") -> list[int]:
    """The statuses of everything that needs the pixels: an answer of bounded size, or an error that says why not."""
    root, found = uid_path(*UIDS), []
    for path, accept in (
        *((f"{root}/{path}", kind) for path in ("rendered", "thumbnail") for kind in ("image/png", "image/jpeg")),
        (f"{root}/frames/{frame}", f"application/octet-stream; {NATIVE}"),
        (f"{root}/frames/{frame}/rendered", "image/png"),
        (f"{root}/rendered?viewport=16,16", "image/png"),
        (root, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"),
    ):
        response = neighbours.web.get(path, accept)
        found.append(response.status_code)
        assert response.status_code in (200, 400, 404, 406), f"{path}: {response.status_code} {response.text[:300]}"
        assert len(response.content) < 10_000
        if response.status_code in (400, 404):
            bounded(response)
    destination = {"uriPrefix": f"gs://{neighbours.gantry.out}/x", "mimeType": "image/jpeg"}
    operation = neighbours.gantry.export("x", gcsDestination=destination)
    counter = operation["metadata"]["counter"]
    assert int(counter.get("success", 0)) + int(counter.get("failure", 0)) == 1
    return found


@pytest.mark.parametrize("data", [GREY, COLOUR, RGB], ids=["grey", "palette", "colour"])
@pytest.mark.parametrize("case", ABSURD)
def test_numbers_that_cannot_be_true(neighbours: Neighbours, case: str, data: bytes) -> None:
    attack = with_numbers(data, **ABSURD[case])
    assert neighbours.store_one(attack).status_code == 200
    try_everything(neighbours)
    assert neighbours.web.get(uid_path(*UIDS), f"application/dicom; {NATIVE[:16]}*").content == attack


@pytest.mark.parametrize(
    "case", ["the most rows and columns", "rows × columns is 2³²", "the most of 32 bits", "no rows", "65,535 samples"]
)
def test_such_images_are_not_painted(neighbours: Neighbours, case: str) -> None:
    """There are not so many pixels: a picture would show what else is in memory."""
    assert neighbours.store_one(with_numbers(GREY, **ABSURD[case])).status_code == 200
    assert 200 not in try_everything(neighbours)[:7]


@pytest.mark.parametrize("frame", ["0", "2", "4294967297", "99999999999999999999", "-1", "1,2", ",".join(["1"] * 5000)])
def test_frames_that_are_not_there(neighbours: Neighbours, frame: str) -> None:
    assert neighbours.store_one(GREY).status_code == 200
    response = neighbours.web.get(f"{uid_path(*UIDS)}/frames/{frame}", f"application/octet-stream; {NATIVE}")
    if response.status_code == 200:
        assert set(frame.split(",")) == {"1"} and len(response.content) < 5000 * 400
    else:
        bounded(response)


LYING = [
    *((entries, 0, bits) for entries in (0, 1, 5, 65535) for bits in (8, 16)),
    *((4, first, 16) for first in (3, 15, 16, 32768, 65535)),
    *((4, 0, bits) for bits in (0, 1, 17, 65535)),
    *((0, 65535, 16), (65535, 65535, 16), (65535, 65535, 65535), (0, 0, 0)),
]
"""Entries, the first pixel that is mapped, and bits of an entry; of tables that have four entries of 16 bits."""


class TestPalettes:
    @staticmethod
    def painted(web: Web) -> np.ndarray:
        response = web.get(f"{uid_path(*UIDS)}/rendered", "image/png")
        assert response.status_code == 200, response.text
        return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))

    def test_an_index_behind_the_table_is_its_last_entry(self, neighbours: Neighbours) -> None:
        """PS3.3 §C.7.6.3.1.5: pixels above the last one mapped get the last entry; nothing is read behind it."""
        assert neighbours.store_one(COLOUR).status_code == 200
        found = self.painted(neighbours.web).reshape(16, 3)
        assert len({tuple(pixel) for pixel in found[3:].tolist()}) == 1
        assert len({tuple(pixel) for pixel in found[:4].tolist()}) == 4

    @pytest.mark.parametrize(("entries", "first", "bits"), LYING)
    def test_descriptors_that_lie(self, neighbours: Neighbours, entries: int, first: int, bits: int) -> None:
        """0 stands for 65,536 entries; the tables have eight bytes."""
        lying: list[Extra] = [
            *((0x28, 0x1101 + number, b"US", struct.pack("<HHH", entries, first, bits)) for number in range(3)),
            *((0x28, 0x1201 + number, b"OW", bytes(range(8))) for number in range(3)),
        ]
        attack = image(PIXELS, 4, 4, photometric="PALETTE COLOR", extra=lying)
        assert neighbours.store_one(attack).status_code == 200
        response = neighbours.web.get(f"{uid_path(*UIDS)}/rendered", "image/png")
        if response.status_code == 200:
            colours = {tuple(pixel) for pixel in self.painted(neighbours.web).reshape(16, 3).tolist()}
            given = {*range(8), *(value >> 8 for value in (0x0100, 0x0302, 0x0504, 0x0706))}
            scaled = {round(value * 255 / most) for value in (*range(8), 0x0100, 0x0302, 0x0504, 0x0706)
                      for most in (1, 255, 65535) if value <= most}  # fmt: skip
            assert {part for colour in colours for part in colour} <= given | scaled | {255}, "only what the table has"
        else:
            bounded(response)

    @pytest.mark.parametrize("size", [0, 2, 4])
    def test_descriptors_that_are_cut(self, neighbours: Neighbours, size: int) -> None:
        cut: list[Extra] = [
            *((0x28, 0x1101 + number, b"US", struct.pack("<HHH", 4, 0, 16)[:size]) for number in range(3)),
            *((0x28, 0x1201 + number, b"OW", bytes(8)) for number in range(3)),
        ]
        assert neighbours.store_one(image(PIXELS, 4, 4, photometric="PALETTE COLOR", extra=cut)).status_code == 200
        assert set(try_everything(neighbours)) <= {200, 400, 404, 406}


class TestRuns:
    """RLE of DICOM, PS3.5 Annex G; the Philips form of CVE-2026-5441 is none of its transfer syntaxes."""

    @pytest.mark.parametrize(
        "segment",
        [b"\x81", b"\x7f", b"\x0fab", b"\x80" * 64, b"", b"\x00", b"\xff"],
        ids=["run", "literal", "cut", "nothing", "empty", "no byte", "no value"],
    )
    def test_an_escape_at_the_end(self, neighbours: Neighbours, segment: bytes) -> None:
        frame = struct.pack("<16I", 1, 64, *[0] * 14) + segment
        assert neighbours.store_one(image([frame], 4, 4, syntax=forms.RLE)).status_code == 200
        response = neighbours.web.get(f"{uid_path(*UIDS)}/frames/1", f"application/octet-stream; {NATIVE}")
        if response.status_code == 200:
            found = response.content
            assert len(found) == 16 and set(found) <= {*segment, 0}, "nothing but the segment's own bytes"
        else:
            bounded(response)

    @pytest.mark.parametrize("offsets", [(2, 64), (1, 0), (1, 4_294_967_295), (16, 64), (0, 64), (1, 65), (255, 64)])
    def test_segments_that_are_elsewhere(self, neighbours: Neighbours, offsets: tuple[int, int]) -> None:
        frame = struct.pack("<16I", *offsets, *[0] * 14) + b"\xf1\x07"
        assert neighbours.store_one(image([frame], 4, 4, syntax=forms.RLE)).status_code == 200
        assert set(try_everything(neighbours)) <= {200, 400, 404, 406}


class TestMetaHeader:
    """CVE-2026-5437: a group whose length, or whose elements' lengths, lead out of the file."""

    @pytest.mark.parametrize("length", [0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF])
    def test_the_length_of_the_group(self, neighbours: Neighbours, length: int) -> None:
        attack = GREY[:140] + struct.pack("<I", length) + GREY[144:]
        response = neighbours.store_one(attack)
        if response.status_code == 200:
            assert neighbours.web.get(uid_path(*UIDS), f"application/dicom; {NATIVE[:16]}*").content == attack

    @pytest.mark.parametrize("length", [0xFFFF, 0xFFFE, 0x7FFF])
    @pytest.mark.parametrize("tag", [b"\2\0\2\0UI", b"\2\0\3\0UI", b"\2\0\x10\0UI"])
    def test_the_length_of_an_element(self, neighbours: Neighbours, tag: bytes, length: int) -> None:
        at = GREY.index(tag) + 6
        attack = GREY[:at] + struct.pack("<H", length) + GREY[at + 2 :]
        assert neighbours.store_one(attack).status_code == 409
        assert neighbours.import_one(attack)

    @pytest.mark.parametrize("vr", [b"ZZ", b"\0\0", b"SQ", b"UN", b"\xff\xff"])
    def test_vrs_that_are_none(self, neighbours: Neighbours, vr: bytes) -> None:
        """CVE-2026-3650: memory that is never given back."""
        at = GREY.index(b"\2\0\2\0UI") + 4
        neighbours.store_one(GREY[:at] + vr + GREY[at + 2 :])

    @pytest.mark.parametrize("at", [0, 4, 127, 131, 132, 136, 139, 140, 143, 144, 150, 200])
    def test_the_end_anywhere(self, neighbours: Neighbours, at: int) -> None:
        assert neighbours.store_one(GREY[:at]).status_code == 409
