"""Native frames are cut by bits alone: cells may have any number of bytes, and any meaning (PS3.5 §8.1.1)."""

from __future__ import annotations

import random
import struct
from typing import NamedTuple

import pytest

from gantry.dicom import forms
from gantry.dicom.open_source import stored_frames
from gantry.dicom.words import swap_words
from tests.pixels.instances import Opened, parts, refusal
from tests.support.datasets import (
    BIG_UID,
    DEFLATED_UID,
    EXPLICIT_UID,
    IMPLICIT_UID,
    SYNTAXES,
    dataset,
    element,
    fragments,
    head,
    number,
    part10,
)
from tests.support.files import header_bytes_of
from tests.support.gantry import Gantry
from tests.support.plain_reader import EXPLICIT
from tests.support.web import Web, parts_of, uid_path

UIDS = ("1.2.826.0.9", "1.2.826.0.9.0", "1.2.826.0.9.1")
PATH = uid_path(*UIDS)
OCTETS = 'multipart/related; type="application/octet-stream"'
NATIVE = [EXPLICIT_UID, IMPLICIT_UID, BIG_UID, DEFLATED_UID]
ROWS, COLUMNS, FRAMES = 3, 5, 3


class Cells(NamedTuple):
    """What is declared; ``tag`` and ``vr`` are those of the pixels."""

    bits: int
    samples: int = 1
    photometric: str = "MONOCHROME2 "
    stored: int = 0
    tag: int = 0x7FE00010
    vr: str = "OW"
    representation: int = 0
    planar: int = 0

    @property
    def frame_bits(self) -> int:
        return ROWS * COLUMNS * self.samples * self.bits


CELLS = [
    *(Cells(bits) for bits in (24, 40, 48, 56, 64, 80)),
    Cells(24, 3, "RGB "),
    Cells(24, 3, "RGB ", planar=1),
    Cells(8, 4, "CMYK", vr="OB"),
    Cells(8, 2, vr="OB"),
    Cells(16, 1, "UNKNOWN "),
    Cells(16, 1, "RGB "),
    Cells(16, stored=20),
    Cells(16, representation=7),
    Cells(32, tag=0x7FE00008, vr="OF"),
    Cells(64, tag=0x7FE00009, vr="OD"),
]


def make_value(cells: Cells) -> bytes:
    size = (cells.frame_bits * FRAMES + 7) // 8
    return random.Random(repr(cells)).randbytes(size + size % 2)


def made(cells: Cells, syntax: str, value: bytes, uids: tuple[str, str, str] = UIDS) -> bytes:
    e = SYNTAXES[syntax]
    numbers = {
        0x02: cells.samples,
        0x10: ROWS,
        0x11: COLUMNS,
        0x100: cells.bits,
        0x101: cells.stored or cells.bits,
        0x102: (cells.stored or cells.bits) - 1,
        0x103: cells.representation,
    } | ({0x06: cells.planar} if cells.samples > 1 else {})
    more = [number(0x00280000 | tag, each, e) for tag, each in numbers.items()]
    more += [element(0x00280004, "CS", cells.photometric, e), element(0x00280008, "IS", f"{FRAMES} ", e)]
    if syntax == BIG_UID:
        is_cell = cells.tag == 0x7FE00010 and 16 <= cells.bits <= 64
        words = {"OB": 1, "OW": 2, "OF": 4, "OD": 8}
        value = swap_words(value, cells.bits // 8 if is_cell else words[cells.vr])
    pixels = cells.tag, head(cells.tag, cells.vr, len(value), e) + value
    return part10(dataset(more, e, uids=uids, pixels=pixels), syntax, sop=uids[2])


def cut(value: bytes, bits: int, frame: int) -> bytes:
    """Bit by bit, the lowest of each byte first."""
    found = 0
    for place in range(bits):
        at = frame * bits + place
        found |= (value[at // 8] >> at % 8 & 1) << place
    return found.to_bytes((bits + 7) // 8, "little")


SINGLE_BITS = [Cells(1, vr="OB"), Cells(1, 3, "RGB ", vr="OB"), Cells(1, 8, "FOO ", vr="OB")]
"""Whose frames begin inside a byte, but are sent from the beginning of one."""


@pytest.mark.parametrize("syntax", NATIVE)
def test_frames_over_http(gantry: Gantry, syntax: str) -> None:
    web = Web(gantry)
    paths = [(UIDS[0], UIDS[1], f"{UIDS[1]}.{number}") for number, _ in enumerate((*CELLS, *SINGLE_BITS), 1)]
    for cells, uids in zip((*CELLS, *SINGLE_BITS), paths, strict=True):
        value = make_value(cells)
        web.stored(made(cells, syntax, value, uids))
        for accept in (OCTETS, f"{OCTETS}; transfer-syntax=*")[: 1 if syntax == BIG_UID else 2]:
            answer = web.get(f"{uid_path(*uids)}/frames/3,1,2", accept)
            assert answer.status_code == 200, (cells, answer.text)
            found = [part.data for part in parts_of(answer)]
            assert found == [cut(value, cells.frame_bits, frame) for frame in (2, 0, 1)], cells
        assert web.get(f"{uid_path(*uids)}/frames/4", OCTETS).status_code == 404


@pytest.mark.parametrize("cells", [*CELLS, *SINGLE_BITS], ids=str)
def test_an_export_as_they_are_stored(cells: Cells) -> None:
    value = make_value(cells)
    data, wanted = made(cells, EXPLICIT_UID, value), [cut(value, cells.frame_bits, frame) for frame in range(FRAMES)]
    assert [part.data for part in parts(data, forms.OCTETS)] == wanted
    if not cells.planar:
        assert [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)] == wanted


@pytest.mark.parametrize("bits", [4, 12, 20])
def test_other_numbers_of_bits_are_refused(gantry: Gantry, bits: int) -> None:
    cells = Cells(bits)
    web = Web(gantry)
    web.stored(made(cells, EXPLICIT_UID, make_value(cells)))
    answer = web.get(f"{PATH}/frames/1", OCTETS)
    assert answer.status_code == 400 and f"BitsAllocated {bits} is neither 1 nor a multiple of 8" in answer.text


@pytest.mark.parametrize("bits", [24, 40, 64])
def test_pictures_are_refused_with_a_reason(gantry: Gantry, bits: int) -> None:
    cells = Cells(bits)
    data = made(cells, EXPLICIT_UID, make_value(cells))
    web = Web(gantry)
    web.stored(data)
    answer = web.get(f"{PATH}/rendered", "image/png")
    assert answer.status_code == 400
    assert f"BitsAllocated {bits} is not supported: such pixels are not decoded" in answer.text
    assert "such pixels are not decoded" in refusal(data, forms.DICOM, forms.RLE)


@pytest.mark.parametrize("tag, bits", [(0x7FE00008, 64), (0x7FE00009, 32)])
def test_float_pixels_of_another_size_are_refused(gantry: Gantry, tag: int, bits: int) -> None:
    """PS3.3 §C.7.6.24, §C.7.6.25: nobody knows where their frames end."""
    cells = Cells(bits, tag=tag, vr="OF" if tag & 1 == 0 else "OD")
    web = Web(gantry)
    web.stored(made(cells, EXPLICIT_UID, make_value(cells)))
    answer = web.get(f"{PATH}/frames/1", OCTETS)
    assert answer.status_code == 400 and f"BitsAllocated {bits} is not that of" in answer.text


@pytest.mark.parametrize(
    "numbers", [{0x100: 24, 0x101: 20, 0x102: 19}, {0x02: 4}, {0x101: 99}, {0x103: 7}, {0x10: 0}], ids=str
)
def test_bitstreams_as_stored_need_no_description(numbers: dict[int, int]) -> None:
    """A codec would need it; whoever asks for the bitstreams has one."""
    frames = [b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xee\0\1\xff\xd9"]
    more = [number(0x00280000 | tag, value, EXPLICIT) for tag, value in numbers.items()]
    more.append(element(0x00280008, "IS", "2 ", EXPLICIT))
    data = part10(dataset(more, EXPLICIT, pixels=fragments(0x7FE00010, frames)), forms.J2K)
    found = stored_frames(Opened(data), header_bytes_of(data), forms.J2K)
    assert found is not None and found.frames == 2
    places = [found.extents(Opened(data), frame) for frame in (0, 1)]
    assert [b"".join(data[at : at + size] for at, size in place) for place in places] == frames
    assert [part.data for part in parts(data, forms.OCTETS)] == frames


def test_a_frame_that_is_more_than_can_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are read where they lie, a megabyte at a time."""
    cells = Cells(16)
    value = struct.pack("<45H", *range(45))
    data = made(cells, EXPLICIT_UID, value)
    monkeypatch.setattr("gantry.dicom.image_source.MAX_FRAME", 20)
    found = stored_frames(Opened(data), header_bytes_of(data), EXPLICIT_UID)
    assert found is not None and found.frame_size == 30
