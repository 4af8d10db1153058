"""Frames of large instances: what is read of a file to give one of them (PS3.5 §A.4, PS3.3 §C.7.6.3.1.8)."""

from __future__ import annotations

from struct import pack

import pytest

from gantry.dicom import encapsulation, image_source, views
from gantry.dicom.forms import JPEG_BASELINE, RLE
from gantry.dicom.open_source import StoredFrames, stored_frames
from gantry.dicom.part10 import read_header, read_header_bytes
from gantry.errors import OutOfRange
from tests.dicomweb.instances import instance
from tests.support.encapsulated import item

UIDS = ("1.2.50", "1.2.50.1", "1.2.50.1.1")
FRAMES = [b"\xff\xd8\xff" + bytes([number]) * (101 + 2 * number) for number in range(60)]


class Counted:
    """A file that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.read = data, len(data), 0

    def read_at(self, offset: int, length: int) -> bytes:
        found = self.data[offset : offset + length]
        self.read += len(found)
        return found


def slide(
    frames: list[bytes], table: bytes = b"", fragments: int = 1, syntax: str = JPEG_BASELINE, **values: object
) -> bytes:
    """Frames that are no JPEG, of 16 by 16, in the encapsulated form; each in so many fragments."""
    marker = item(b"") + item(b"here")
    pieces = []
    for frame in frames:
        size = -(-len(frame) // fragments)
        size += size % 2
        pieces += [frame[at : at + size] for at in range(0, len(frame), size)]
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 0}
    what = {"NumberOfFrames": str(len(frames)), "Rows": 16, "Columns": 16, **colour, **values}
    return instance(UIDS, syntax, PixelData=marker, **what).replace(marker, b"".join(map(item, (table, *pieces))))


def offsets(frames: list[bytes], fragments: int = 1) -> list[int]:
    found, at = [], 0
    for frame in frames:
        found.append(at)
        at += 8 * fragments + len(frame) + len(frame) % 2
    return found


def basic(frames: list[bytes], fragments: int = 1) -> bytes:
    return pack(f"<{len(frames)}I", *offsets(frames, fragments))


def places(opened: Counted) -> StoredFrames | None:
    """From the header that an index has."""
    header = read_header(opened.read_at, opened.size)
    header_bytes = read_header_bytes(opened.read_at, opened.size, header.layout)
    assert header_bytes is not None
    opened.read = 0
    return stored_frames(opened, header_bytes, header.transfer_syntax_uid)


def given(data: bytes, number: int) -> bytes:
    opened = Counted(data)
    where = places(opened)
    assert where is not None
    return b"".join(opened.read_at(at, length) for at, length in where.extents(opened, number))


def even(frame: bytes) -> bytes:
    return frame + b"\0" * (len(frame) % 2)


@pytest.mark.parametrize("fragments", [1, 2])
@pytest.mark.parametrize("table", [b"", basic(FRAMES), basic(FRAMES, 2)])
def test_each_frame_is_its_own_whatever_the_table(table: bytes, fragments: int) -> None:
    """A table of other fragments points beside these, and is not used."""
    data = slide(FRAMES, table, fragments)
    for number in (0, 1, 17, 58, 59):
        assert given(data, number) == even(FRAMES[number])


def test_the_extended_table_goes_first() -> None:
    """It knows lengths, so a frame comes without its padding; a wrong entry is not believed."""
    where, lengths = offsets(FRAMES), [len(frame) for frame in FRAMES]
    lengths[3], where[4] = 100_000, where[4] + 2
    tables = {
        "ExtendedOffsetTable": pack(f"<{len(where)}Q", *where),
        "ExtendedOffsetTableLengths": pack(f"<{len(lengths)}Q", *lengths),
    }
    data = slide(FRAMES, **tables)
    assert given(data, 2) == FRAMES[2]
    assert given(data, 3) == even(FRAMES[3]) and given(data, 4) == even(FRAMES[4])


@pytest.mark.parametrize("last", [0xFFFFFFF0, 2])
def test_a_table_that_does_not_grow_or_leaves_the_file(last: int) -> None:
    table = pack(f"<{len(FRAMES)}I", *offsets(FRAMES)[:-1], last)
    for number in (57, 58, 59):
        assert given(slide(FRAMES, table), number) == even(FRAMES[number])


def test_one_frame_of_many_reads_little_and_a_second_one_next_to_nothing() -> None:
    frames = [b"\xff\xd8\xff" + bytes(20_000) for _ in range(200)]
    opened = Counted(slide(frames, basic(frames)))
    where = places(opened)
    assert where is not None
    first, opened.read = opened.read, 0
    assert where.extents(opened, 150)[0][1] == len(even(frames[150]))
    assert first < 1000
    assert opened.read < 100


def test_size_is_no_limit_where_frames_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_source, "MAX_FILE", 1000)
    data = slide(FRAMES, basic(FRAMES))
    assert len(data) > 1000
    assert list(views.frame_bitstreams(Counted(data), "", [7, 3], lambda: None)) == [even(FRAMES[7]), even(FRAMES[3])]
    cells = bytes(range(256)) * 10
    native = instance(UIDS, NumberOfFrames="10", Rows=16, Columns=16, PixelData=cells)
    assert list(views.frame_bitstreams(Counted(native), "", [9], lambda: None)) == [cells[-256:]]


def test_a_frame_that_is_not_there() -> None:
    with pytest.raises(OutOfRange, match="frame 61"):
        list(views.frame_bitstreams(Counted(slide(FRAMES)), "", [60], lambda: None))


def test_what_a_worker_has_to_look_at() -> None:
    """Bits that are not whole bytes, cells that are missing, fragments that are not to be told apart."""
    bits = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "NumberOfFrames": "2", "Rows": 3, "Columns": 3}
    assert places(Counted(instance(UIDS, PixelData=b"\0\0\0\0", **bits))) is None
    assert places(Counted(instance(UIDS, Rows=100, Columns=100))) is None
    assert places(Counted(slide([b"a" * 100] * 3, fragments=2, syntax=RLE))) is None
    assert places(Counted(slide(FRAMES, syntax="1.2.840.10008.1.2.4.102"))) is None


def test_a_file_that_is_not_the_one_of_the_header() -> None:
    data = slide(FRAMES)
    header = read_header(Counted(data).read_at, len(data))
    header_bytes = read_header_bytes(Counted(data).read_at, len(data), header.layout)
    assert header_bytes is not None
    other = Counted(data[:200] + b"\0\0" + data[200:])
    assert stored_frames(other, header_bytes, header.transfer_syntax_uid) is None


def test_no_more_is_remembered_of_a_table_than_its_file_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumberOfFrames may say anything."""
    monkeypatch.setattr(encapsulation, "_MAX_FRAGMENTS", 100)
    assert places(Counted(slide(FRAMES, NumberOfFrames="2147483647"))) is None
