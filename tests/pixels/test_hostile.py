"""Damaged and lying bytes: a ``StatusError`` or files, never another exception.

Codecs in C may also crash or hang on rubbish. So the mutations of compressed frames run in a process of their own
with a limit on its time; those of headers and of RLE, which is safe code, run here.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gantry.dicom import encapsulation, forms
from gantry.errors import StatusError
from tests.pixels.instances import Extra, image, parts, refusal, transcoded
from tests.support.dicom import element

RAMP = np.arange(48 * 40, dtype="<u2").reshape(48, 40) * 2
EXTRA: list[Extra] = [(0x28, 0x1050, b"DS", "40"), (0x28, 0x1051, b"DS", "400"), (0x28, 0x1052, b"DS", "-1024")]
WHOLE = image(RAMP.tobytes(), 48, 40, bits=(16, 12, 11), extra=EXTRA)
FORMS = ((forms.PNG, ""), (forms.OCTETS, forms.EXPLICIT_LE), (forms.OCTETS, ""), (forms.DICOM, forms.IMPLICIT_LE))
CALM = settings(max_examples=60, suppress_health_check=list(HealthCheck))

_MUTATE = """
import random, sys
from gantry.errors import StatusError
from tests.pixels.instances import parts
data, seed, start = sys.stdin.buffer.read(), int(sys.argv[1]), int(sys.argv[2])
chance, outcomes = random.Random(seed), {"files": 0, "refused": 0}
for _ in range(150):
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        changed[chance.randrange(start, len(changed))] = chance.randrange(256)
    try:
        parts(bytes(changed), "image/png")
        outcomes["files"] += 1
    except StatusError as error:
        assert error.message
        outcomes["refused"] += 1
print(*outcomes.values())
"""


def survive(data: bytes) -> None:
    for media_type, syntax in FORMS:
        try:
            parts(data, media_type, syntax)
        except StatusError as error:
            assert error.message


@CALM
@given(st.lists(st.tuples(st.integers(132, len(WHOLE) - 4000), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_headers(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    survive(bytes(data))


@CALM
@given(st.integers(0, len(WHOLE)))
def test_cut_anywhere(at: int) -> None:
    survive(WHOLE[:at])


@CALM
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_rle(changes: list[tuple[int, int]]) -> None:
    data = bytearray(transcoded(WHOLE, forms.RLE))
    start = data.index(b"\xe0\x7f\x10\x00OB")
    for at, value in changes:
        data[min(start + at, len(data) - 1)] = value
    survive(bytes(data))


@CALM
@given(st.binary(max_size=300))
def test_any_fragment_for_rle(fragment: bytes) -> None:
    survive(image([fragment], 4, 4, syntax=forms.RLE, bits=(16, 12, 11)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "syntax", [forms.JPEG_LOSSLESS_SV1, forms.JPEG_EXTENDED, forms.J2K, forms.HTJ2K, forms.JPEG_LS, forms.JXL]
)
def test_changed_bitstreams_in_a_process_of_their_own(syntax: str) -> None:
    """No crash, no hang, no exception of another kind. Should a codec crash on them one day, it is to be known."""
    data = transcoded(WHOLE, syntax)
    start = data.index(b"\xe0\x7f\x10\x00OB") + 12
    command = [sys.executable, "-c", _MUTATE, "7", str(start)]
    done = subprocess.run(command, input=data, capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    files, refused = map(int, done.stdout.split())
    assert files + refused == 150 and refused > 10


def nested(depth: int) -> bytes:
    inside = b""
    for _ in range(depth):
        inside = element(0x0040, 0xA730, b"SQ", b"\xfe\xff\x00\xe0" + len(inside).to_bytes(4, "little") + inside)
    return inside


def test_deep_sequences() -> None:
    at = WHOLE.index(b"\xe0\x7f\x10\x00")
    survive(WHOLE[:at] + nested(3000) + WHOLE[at:])


def test_functional_groups_that_are_no_sequences() -> None:
    at = WHOLE.index(b"\xe0\x7f\x10\x00")
    survive(WHOLE[:at] + element(0x5200, 0x9230, b"LO", "what") + WHOLE[at:])


@pytest.mark.parametrize("numbers", [(0, 0, 0), (65535, 0, 16), (1, 65535, 0)])
def test_look_up_tables_that_lie(numbers: tuple[int, int, int]) -> None:
    head = element(0x28, 0x3002, b"US", b"".join(number.to_bytes(2, "little") for number in numbers))
    for entries in (b"", b"\1\2", bytes(9)):
        item = head + element(0x28, 0x3006, b"OW", entries + b"\0" * (len(entries) % 2))
        table = element(0x28, 0x3000, b"SQ", b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item)
        at = WHOLE.index(b"\xe0\x7f\x10\x00")
        survive(WHOLE[:at] + table + WHOLE[at:])


def test_single_bits_in_rle_take_the_room_that_is_declared() -> None:
    """Two bytes of RLE become up to 128: what is more than the declared bits is not made."""
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\xff" * 100_000
    tracemalloc.start()
    try:
        assert refusal(image([bomb], 8, 8, syntax=forms.RLE, bits=(1, 1, 0)), forms.PNG)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_fragments_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encapsulation, "_MAX_FRAGMENTS", 100)
    assert "more than 100 fragments" in refusal(image([b""] * 101, 8, 8, syntax=forms.J2K_LOSSLESS), forms.PNG)


def test_an_animation_is_no_frame() -> None:
    """Only its first picture is decoded, whatever follows."""
    pictures = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    data = bytes(imagecodecs.jpegxl_encode(pictures, lossless=True, photometric="gray"))
    (native,) = parts(image([data], 8, 8, syntax=forms.JXL_LOSSLESS), forms.OCTETS, forms.EXPLICIT_LE)
    assert native.data == pictures[0].tobytes()


def test_colour_that_a_codec_would_change_is_refused() -> None:
    dim = image(bytes(range(12)), 2, 2, photometric="RGB", planar=0, bits=(8, 5, 4))
    assert "colour of 5 bits" in refusal(dim, forms.DICOM, forms.JPEG_BASELINE)
