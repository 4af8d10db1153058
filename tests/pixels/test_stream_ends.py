"""Where a bitstream ends: bytes behind its end marker do no harm, and without the marker it is truncated."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from gantry.dicom import forms
from gantry.dicom.stream_ends import find_end
from gantry.errors import InvalidArgument
from tests.pixels.instances import image, parts, refusal, transcoded

PIXELS = np.random.default_rng(3).integers(0, 256, (64, 64)).astype(np.uint8)
GARBAGE = bytes(np.random.default_rng(4).integers(1, 0xD0, 1024).astype(np.uint8))
SYNTAXES = [
    *(forms.JPEG_BASELINE, forms.JPEG_LOSSLESS_SV1, forms.JPEG_LS, forms.J2K_LOSSLESS, forms.HTJ2K_LOSSLESS),
]


def frame_of(syntax: str) -> bytes:
    (part,) = parts(transcoded(image(PIXELS.tobytes(), 64, 64), syntax), forms.OCTETS, forms.AS_STORED)
    return part.data


def raw(frame: bytes, syntax: str) -> bytes:
    (part,) = parts(image([frame], 64, 64, syntax=syntax), forms.OCTETS, forms.EXPLICIT_LE)
    return part.data


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("behind", [GARBAGE, b"\0" * 5000, GARBAGE + b"\0" * 100, b"\x01" * 65])
def test_what_stands_behind_the_end_marker_is_not_looked_at(syntax: str, behind: bytes) -> None:
    frame = frame_of(syntax)
    assert raw(frame + behind, syntax) == raw(frame, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("behind", [b"", b"\0" * 70, GARBAGE])
def test_half_a_bitstream_is_refused_whatever_follows(syntax: str, behind: bytes) -> None:
    frame = frame_of(syntax)
    half = frame[: len(frame) // 2] + behind
    assert "truncated" in refusal(image([half], 64, 64, syntax=syntax), forms.PNG)


def test_the_end_marker_of_a_thumbnail_is_not_that_of_the_frame() -> None:
    """An APP segment holds a JPEG of its own, near the end of what is left of the frame."""
    frame = frame_of(forms.JPEG_BASELINE)
    thumbnail = b"JFXX\0\x10" + frame[:100] + b"\xff\xd9"
    with_thumbnail = frame[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail + frame[2:]
    scan = with_thumbnail.rindex(b"\xff\xda")
    assert raw(with_thumbnail, forms.JPEG_BASELINE) == raw(frame, forms.JPEG_BASELINE)
    cut = image([with_thumbnail[: scan + 20]], 64, 64, syntax=forms.JPEG_BASELINE)
    assert "truncated" in refusal(cut, forms.PNG)


def test_scans_restarts_and_fill_bytes_are_passed() -> None:
    progressive = bytes(imagecodecs.jpeg8_encode(np.stack([PIXELS] * 3, -1), 90, subsampling="444", optimize=True))
    assert find_end(progressive + GARBAGE) == len(progressive)
    filled = progressive[:-2] + b"\xff\xff\xff\xd9"
    assert find_end(filled + GARBAGE) == len(filled)
    restarts = progressive[:-2] + b"\xff\xd0\x01\xff\x00\x02\xff\xd7\x03\xff\xd9"
    assert find_end(restarts + GARBAGE) == len(restarts)
    scan = progressive[progressive.rindex(b"\xff\xda") :]
    assert find_end(progressive[:-2] + scan + GARBAGE) == len(progressive) - 2 + len(scan)


def test_a_tile_part_without_length_goes_up_to_the_end_marker() -> None:
    frame = frame_of(forms.J2K_LOSSLESS)
    at = frame.index(b"\xff\x90") + 6
    endless = frame[:at] + bytes(4) + frame[at + 4 :]
    assert find_end(endless + GARBAGE) == len(frame)
    with pytest.raises(InvalidArgument, match="truncated"):
        find_end(endless[:-2] + GARBAGE)


def test_a_tile_part_with_a_wrong_length_needs_its_end_marker_last() -> None:
    frame = frame_of(forms.J2K_LOSSLESS)
    at = frame.index(b"\xff\x90") + 6
    (length,) = struct.unpack_from(">I", frame, at)
    wrong = frame[:at] + struct.pack(">I", length + 2) + frame[at + 4 :]
    assert find_end(wrong + b"\0") == len(wrong) + 1
    with pytest.raises(InvalidArgument, match="truncated"):
        find_end(wrong + GARBAGE)


def test_an_end_marker_put_behind_half_a_codestream_does_not_make_it_whole() -> None:
    frame = frame_of(forms.J2K_LOSSLESS)
    half = frame[: len(frame) // 2] + b"\xff\xd9"
    assert "truncated" in refusal(image([half], 64, 64, syntax=forms.J2K_LOSSLESS), forms.PNG)


def test_jpeg_xl_from_a_jpeg_with_bytes_behind_it() -> None:
    frame = frame_of(forms.JPEG_BASELINE)
    data = image([frame + GARBAGE], 64, 64, syntax=forms.JPEG_BASELINE)
    (part,) = parts(transcoded(data, forms.JXL_JPEG), forms.OCTETS, forms.AS_STORED)
    assert bytes(imagecodecs.jpegxl_decode_jpeg(part.data.rstrip(b"\0"))) == frame[: find_end(frame)]
