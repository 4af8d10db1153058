"""RLE as other writers have it: segments that are too long, empty fragments, frames in several (PS3.5 §A.4.2, §G)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pytest

from gantry.dicom import forms
from gantry.dicom.rle_segments import decode_planes
from tests.pixels.instances import image, parts, read, refusal, transcoded

ROWS, COLUMNS = 5, 60
COUNT = ROWS * COLUMNS
EXTRA = bytes(range(7))


def pack_cells(plane: bytes) -> bytes:
    """Literal runs, and one replicate run where a plane ends in equal bytes (PS3.5 §G.3.1)."""
    out = b"".join(bytes([len(plane[at : at + 128]) - 1]) + plane[at : at + 128] for at in range(0, len(plane), 128))
    return out + b"\x80" * (len(out) % 2)


def rle(planes: Sequence[bytes]) -> bytes:
    segments = [pack_cells(plane) for plane in planes]
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def planes_of(cells: np.ndarray, width: int) -> list[bytes]:  # type: ignore[type-arg]
    """Pixels × samples of ``width`` bytes to segments, the highest byte first."""
    split = cells.reshape(COUNT, -1, 1).view(np.uint8).reshape(COUNT, -1, width)
    return [split[:, sample, byte].tobytes() for sample in range(split.shape[1]) for byte in reversed(range(width))]


KINDS = [(1, 1), (1, 2), (1, 4), (3, 1), (3, 2)]


@pytest.mark.parametrize(
    ("samples", "width", "long"), [(s, w, n) for s, w in KINDS for n in range(s * w)] + [(3, 2, -1), (1, 4, -1)]
)
def test_what_a_segment_has_too_much_is_cut(samples: int, width: int, long: int) -> None:
    """Any one of them, or all."""
    cells = np.random.default_rng(1).integers(0, 256, (COUNT, samples * width)).astype(np.uint8)
    planes = [
        plane + EXTRA * (1 + 40 * (number % 2)) if long in (number, -1) else plane
        for number, plane in enumerate(planes_of(cells.view(f"<u{width}"), width))
    ]
    bits = (8 * width, 8 * width, 8 * width - 1)
    colour = {"photometric": "RGB", "planar": 1} if samples == 3 else {}
    data = image([rle(planes)], ROWS, COLUMNS, syntax=forms.RLE, bits=bits, **colour)  # type: ignore[arg-type]
    (part,) = parts(data, forms.OCTETS, forms.EXPLICIT_LE)
    assert part.data == cells.tobytes()
    assert read(transcoded(data, forms.EXPLICIT_LE)).PixelData == cells.tobytes()


@pytest.mark.parametrize("segment", [0, 1])
def test_a_segment_with_too_little_is_refused_in_own_words(segment: int) -> None:
    planes = [bytes(COUNT), bytes(COUNT)]
    planes[segment] = planes[segment][:-1]
    told = refusal(image([rle(planes)], ROWS, COLUMNS, syntax=forms.RLE, bits=(16, 16, 15)), forms.PNG)
    assert told == f"a segment of an RLE frame has {COUNT - 1} bytes where {COUNT} are declared"


def test_the_slow_reader_gives_what_the_library_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    cells = np.repeat(rng.integers(0, 65536, 30).astype("<u2"), 10)
    (part,) = parts(
        transcoded(image(cells.tobytes(), ROWS, COLUMNS, bits=(16, 16, 15)), forms.RLE), forms.OCTETS, forms.AS_STORED
    )
    by_library = decode_planes(part.data, 1, COUNT, 2)
    monkeypatch.setattr("gantry.dicom.rle_segments._decode_by_library", lambda *_: None)
    assert (decode_planes(part.data, 1, COUNT, 2) == by_library).all()
    assert (by_library[0] == cells).all()


def frames(count: int) -> tuple[list[bytes], list[bytes]]:
    pixels = [bytes((number * 31 + at) % 256 for at in range(COUNT)) for number in range(count)]
    return pixels, [rle([one]) for one in pixels]


def raw(data: bytes) -> list[bytes]:
    return [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)]


@pytest.mark.parametrize("places", [[3], [0], [1, 3], [3, 3]])
def test_empty_fragments_belong_to_no_frame(places: list[int]) -> None:
    pixels, fragments = frames(3)
    for place in reversed(places):
        fragments.insert(place, b"")
    assert raw(image(fragments, ROWS, COLUMNS, syntax=forms.RLE, frames=3)) == pixels


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("with_table", [False, True])
@pytest.mark.parametrize("size", [2, 20, 62, 64, 100, 250])
def test_a_frame_in_several_fragments_is_joined(count: int, with_table: bool, size: int) -> None:
    pixels, whole = frames(count)
    fragments, offsets, at = [], [], 0
    for frame in whole:
        offsets.append(at)
        for start in range(0, len(frame), size):
            fragments.append(frame[start : start + size])
            at += 8 + len(fragments[-1]) + len(fragments[-1]) % 2
    table = struct.pack(f"<{count}I", *offsets) if with_table else b""
    data = image(fragments, ROWS, COLUMNS, syntax=forms.RLE, frames=count, offsets=table)
    assert raw(data) == pixels


def test_fragments_that_cannot_be_told_apart_are_refused() -> None:
    _, whole = frames(2)
    fragments = [whole[0], whole[1][40:], whole[1][40:]]
    told = refusal(image(fragments, ROWS, COLUMNS, syntax=forms.RLE, frames=2), forms.PNG)
    assert told == "3 fragments do not make up the 2 frames that NumberOfFrames declares"
