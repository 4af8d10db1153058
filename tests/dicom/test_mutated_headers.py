"""A million headers that somebody has damaged or forged: an instance, or a refusal in words, and nothing is kept."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import pydicom.data
import pytest

from gantry.dicom.attributes import series_attributes, study_attributes
from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import read_header, read_skeleton
from gantry.errors import StatusError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COUNT = 1_000_000
NAMES = (
    *("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "image_dfl.dcm"),
    *("reportsi.dcm", "JPEG2000.dcm", "liver_1frame.dcm", "nested_priv_SQ.dcm", "test-SR.dcm", "waveform_ecg.dcm"),
)
WORDS = (
    *(
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0",
        b"\xfe\xff\xdd\xe0",
        b"\xff\xff\xff\x7f",
    ),
    *(b"SQ\0\0", b"UN\0\0", b"OB\0\0", b"PN", b"UI", b"\xe0\x7f\x10\x00", b"\x08\x00\x05\x00", b"\0", b"\\", b"="),
)


def beginning(name: str) -> bytes:
    """Enough of a file that all of its header is in it."""
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path is not None, name
    return Path(str(path)).read_bytes()[:6000]


def mutated(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(128, len(made))
        kind = chance.randrange(5)
        if kind == 0:
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            word = chance.choice(WORDS)
            made[at : at + len(word)] = word
        elif kind == 2:
            del made[at : at + chance.randrange(1, 9)]
        elif kind == 3:
            made[at:at] = chance.choice(WORDS)
        else:
            del made[at:]
        if len(made) < 140:
            break
    return bytes(made)


def look(data: bytes) -> bool:
    """All that is done with the header of an instance; False where it is refused."""

    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    try:
        header = read_header(read_at, len(data))
        skeleton = read_skeleton(read_at, len(data), header.layout)
        assert skeleton is not None
        study_attributes(skeleton)
        series_attributes(skeleton)
        dicom_json(skeleton, "http://h/bulkdata")
    except StatusError as error:
        assert error.message and error.code.name == "INVALID_ARGUMENT", error
        return False
    return True


def test_a_million_of_them() -> None:
    files = [beginning(name) for name in NAMES]
    chance = random.Random(20261125)
    taken = 0
    for number in range(COUNT):
        data = mutated(files[number % len(files)], chance)
        try:
            taken += look(data)
        except Exception as error:
            raise AssertionError(f"number {number}, {NAMES[number % len(files)]}: {data.hex()}") from error
        if number == COUNT // 10:
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    assert COUNT // 100 < taken < COUNT
    assert grown < 100_000, f"{grown} kB more after a million headers than after a tenth of them"
