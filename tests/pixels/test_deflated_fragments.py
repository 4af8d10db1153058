"""Deflated Image Frame Compression: each frame has one fragment (PS3.5 §A.4.13), but a frame in several of them is told
apart surely, as its stream says where it ends (RFC 1951 §3.2.3)."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from gantry.dicom import forms
from gantry.dicom.open_source import stored_frames
from gantry.dicom.views import frame_bitstreams
from tests.pixels.instances import Opened, image, parts, refusal, transcoded
from tests.support.files import header_bytes_of

ROWS, COLUMNS = 20, 30
FRAMES = [random.Random(number).randbytes(ROWS * COLUMNS) for number in range(4)]


def deflated(data: bytes, level: int = 6) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def in_pieces(stream: bytes, count: int) -> list[bytes]:
    """Of even length, but the last, which is padded."""
    size = -(-len(stream) // count // 2) * 2
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    return [piece + b"\0" * (len(piece) % 2) for piece in pieces]


def cut_up(*counts: int, level: int = 6) -> list[bytes]:
    return [
        piece
        for frame, count in zip(FRAMES, counts, strict=False)
        for piece in in_pieces(deflated(frame, level), count)
    ]


def made(pieces: list[bytes], frames: int, offsets: bytes = b"") -> bytes:
    return image(pieces, ROWS, COLUMNS, syntax=forms.DEFLATED_FRAME, frames=frames, offsets=offsets)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("counts", [(2, 1), (1, 2), (3, 3, 3), (1, 1, 2, 1), (7, 2), (1, 40)], ids=str)
def test_frames_in_several_fragments(counts: tuple[int, ...], level: int) -> None:
    frames = FRAMES[: len(counts)]
    data = made(cut_up(*counts, level=level), len(counts))
    assert [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)] == frames
    native = transcoded(data, forms.EXPLICIT_LE)
    assert [part.data for part in parts(native, forms.OCTETS)] == frames
    last = list(frame_bitstreams(Opened(data), "", [len(frames) - 1], lambda: None))
    assert zlib.decompress(last[0], -zlib.MAX_WBITS) == frames[-1]


def test_empty_fragments_belong_to_no_frame() -> None:
    one, two = (in_pieces(deflated(frame), 2) for frame in FRAMES[:2])
    data = made([one[0], b"", one[1], *two, b""], 2)
    assert [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)] == FRAMES[:2]


def test_an_offset_table_counts_more() -> None:
    pieces = cut_up(2, 2)
    offsets = struct.pack("<2I", 0, sum(8 + len(piece) for piece in pieces[:2]))
    data = made(pieces, 2, offsets)
    assert [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)] == FRAMES[:2]


def test_the_server_process_inflates_nothing() -> None:
    """It leaves what has to be looked at to a worker."""
    data = made(cut_up(2, 1), 2)
    assert stored_frames(Opened(data), header_bytes_of(data), forms.DEFLATED_FRAME) is None
    data = made(cut_up(1, 1), 2)
    assert stored_frames(Opened(data), header_bytes_of(data), forms.DEFLATED_FRAME) is not None


@pytest.mark.parametrize(
    "pieces, frames, said",
    [
        (cut_up(2, 2)[:-1], 2, "3 fragments do not make up the 2 frames"),
        (cut_up(2, 2, 1), 2, "5 fragments do not make up the 2 frames"),
        ([deflated(bytes(1 << 20)), b"\1\2", b"\3\4"], 2, "a frame inflates to more bytes than are declared"),
        ([b"\xff\xff", b"\1\2", b"\3\4"], 2, "its bitstream is damaged"),
    ],
    ids=["cut off", "too many", "too long", "damaged"],
)
def test_what_cannot_be_told_apart_is_refused(pieces: list[bytes], frames: int, said: str) -> None:
    assert said in refusal(made(pieces, frames), forms.OCTETS, forms.EXPLICIT_LE)
