"""Headers as the index keeps them: what is written is read again, and nothing else is taken for one."""

from __future__ import annotations

import struct

import pytest
from tests.support.dicom import element

from gantry.dicom.header_bytes import HeaderBytes
from gantry.errors import DataLoss

META, NAME = element(0x0002, 0x0010, b"UI", "1.2.840.10008.1.2.1\0"), element(0x0010, 0x0010, b"PN", "Doe^John")
SEQUENCE = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 2 << 20)
TEXT = struct.pack("<HH2s2xI", 0x0011, 0x0030, b"UT", 2 << 20)
PIXELS = struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", 2 << 20)
WHOLE = HeaderBytes(META, SEQUENCE + NAME, ((0, 2 << 20),), True, True, ((12, 40), (3, 7)))


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("explicit", [True, False])
def test_what_is_written_is_read_again(explicit: bool, little: bool) -> None:
    for header in (WHOLE, HeaderBytes(b"", NAME, (), True, True)):
        header = header._replace(explicit=explicit, little=little)
        assert HeaderBytes.from_bytes(header.to_bytes()) == header
    assert [each.tag for each in WHOLE.meta_elements().elements()] == [0x00020010]


@pytest.mark.parametrize("version", [0, 3, 255])
def test_a_version_that_is_not_known_is_no_header(version: int) -> None:
    with pytest.raises(DataLoss, match=f"has version {version}, which this Gantry does not know"):
        HeaderBytes.from_bytes(bytes([version]) + WHOLE.to_bytes()[1:])


def test_a_header_that_is_cut_off_is_damaged() -> None:
    data = WHOLE.to_bytes()
    for length in range(len(data) - len(WHOLE.body)):
        with pytest.raises(DataLoss, match="is cut off"):
            HeaderBytes.from_bytes(data[:length])


@pytest.mark.parametrize(
    ("body", "cuts", "lacks"),
    [
        (NAME, (), False),
        (SEQUENCE, ((0, 2 << 20),), True),
        (PIXELS, ((0, 2 << 20),), False),
        (TEXT, ((0, 2 << 20),), False),
        (TEXT + PIXELS, ((0, 2 << 20), (12, 2 << 20)), False),
        (SEQUENCE + PIXELS, ((0, 2 << 20), (12, 2 << 20)), True),
    ],
    ids=["nothing", "sequence", "pixels", "text", "text and pixels", "sequence and pixels"],
)
def test_whether_a_sequence_was_left_out(body: bytes, cuts: tuple[tuple[int, int], ...], lacks: bool) -> None:
    assert bool(HeaderBytes(META, body, cuts, True, True).lacks_sequences) == lacks
