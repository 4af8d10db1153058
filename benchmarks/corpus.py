"""Synthetic CT studies as Part 10 files, so that a run needs no patient data and no DICOM library."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import isqrt
from pathlib import Path

from benchmarks.ct_elements import TABLE

SERIES_PER_STUDY = 5
_VARIETY = 1 << 20
"""Bytes of random data beyond one slice; slices begin at different offsets in it, so that no two are alike."""
_CT_IMAGE_STORAGE, _EXPLICIT_LE = b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.1.2.1"
_LONG = frozenset(("OB", "OW", "SQ", "UN"))
_NUMBERS: dict[str, str] = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "FL": "<f", "FD": "<d"}
_Values = dict[str, str]


@dataclass(frozen=True, slots=True)
class Slice:
    """One file: its path below the corpus directory, and its UIDs (study, series, instance)."""

    path: str
    uids: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """``size`` is the number of bytes of each file."""

    directory: Path
    size: int
    slices: tuple[Slice, ...]

    @property
    def total_bytes(self) -> int:
        return self.size * len(self.slices)

    def read(self) -> None:
        """Read every file once, which brings it into the page cache."""
        for item in self.slices:
            (self.directory / item.path).read_bytes()


def make_corpus(directory: Path, count: int, size: int, per_series: int, seed: int, picture: bytes = b"") -> Corpus:
    """Write ``count`` files of ``size`` bytes (an odd size loses one) as ``directory/STUDY/SERIES/NUMBER.dcm``.

    Same arguments, same bytes. UIDs are random: neither in the order of the file names nor near each other. Raises
    ValueError when ``size`` cannot hold a header and a pixel. Pixels are random words, or ``picture`` over and over.
    """
    chance = random.Random(seed)
    size -= size % 2
    whole = size + _VARIETY
    pixels = memoryview(picture * (whole // len(picture) + 1) if picture else chance.randbytes(whole))
    slices = []
    for number, item in enumerate(_names(chance, count, per_series)):
        path = directory / item.path
        if number % per_series == 0:
            path.parent.mkdir(parents=True)
        head, room = _head(item, number % per_series + 1, size)
        start = chance.randrange(_VARIETY // 2) * 2
        with open(path, "wb", buffering=0) as file:
            written = os.writev(file.fileno(), (head, pixels[start : start + room]))
        if written != size:
            raise OSError(f"{path}: {written} of {size} bytes written")
        slices.append(item)
    return Corpus(directory, size, tuple(slices))


def _names(chance: random.Random, count: int, per_series: int) -> Iterator[Slice]:
    study = series = ""
    for number in range(count):
        if number % (per_series * SERIES_PER_STUDY) == 0:
            study = _uid(chance)
        if number % per_series == 0:
            series = _uid(chance)
        yield Slice(f"{study}/{series}/{number % per_series + 1:06d}.dcm", (study, series, _uid(chance)))


def patient_of(study: str) -> str:
    """Eight digits: one patient for each study."""
    return study[-8:]


def _uid(chance: random.Random) -> str:
    """In the UUID form of PS3.5 §B.2."""
    return f"2.25.{chance.getrandbits(128) | 1 << 127}"


def _head(item: Slice, number: int, size: int) -> tuple[bytes, int]:
    """Everything before the pixels, and the number of bytes of the pixels.

    Image Comments take what a rectangle of pixels leaves over.
    """
    study, series, instance = item.uids
    values = {
        "study": study,
        "series": series,
        "instance": instance,
        "number": str(number),
        "patient": patient_of(study),
    }
    meta = _meta(instance)
    room = size - len(meta) - len(_dataset(values | {"filler": "", "rows": "1", "columns": "1"})) - 12
    if room < 2:
        raise ValueError(f"size: {size} bytes cannot hold the header; {size - room + 2} is the least")
    columns = isqrt(room // 2)
    rows = room // 2 // columns
    length = rows * columns * 2
    shape = {"filler": "x" * (room - length), "rows": str(rows), "columns": str(columns)}
    return meta + _dataset(values | shape) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length), length


def _meta(instance: str) -> bytes:
    body = b"".join(
        (
            _element(0x00020001, "OB", b"\0\1"),
            _element(0x00020002, "UI", _CT_IMAGE_STORAGE),
            _element(0x00020003, "UI", instance.encode()),
            _element(0x00020010, "UI", _EXPLICIT_LE),
            _element(0x00020012, "UI", b"2.25.1"),
        )
    )
    return bytes(128) + b"DICM" + _element(0x00020000, "UL", struct.pack("<I", len(body))) + body


def _dataset(values: _Values) -> bytes:
    return b"".join(part if isinstance(part, bytes) else part(values) for part in _parts())


@cache
def _parts() -> tuple[bytes | Callable[[_Values], bytes], ...]:
    """The dataset up to Pixel Data: constant bytes, and functions for the elements that differ between slices."""
    parts: list[bytes | Callable[[_Values], bytes]] = []
    for line in TABLE.split("\n")[1:-1]:
        tag, vr, value = int(line[:8], 16), line[9:11], line[12:]
        if "@" in value:
            parts.append(_variable(tag, vr, value))
        elif parts and isinstance(parts[-1], bytes):
            parts[-1] += _constant(tag, vr, value)
        else:
            parts.append(_constant(tag, vr, value))
    return tuple(parts)


def _variable(tag: int, vr: str, value: str) -> Callable[[_Values], bytes]:
    before, _, name = value.partition("@")
    return lambda values: _constant(tag, vr, before + values[name])


def _constant(tag: int, vr: str, value: str) -> bytes:
    if vr == "SQ":
        inner = (part.split(" ", 2) for part in value.split(";"))
        item = b"".join(_constant(int(tag, 16), vr, value) for tag, vr, value in inner)
        return _element(tag, vr, struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item)
    if vr in _NUMBERS:
        form = _NUMBERS[vr]
        return _element(tag, vr, struct.pack(form, float(value) if form in ("<f", "<d") else int(value)))
    return _element(tag, vr, value.encode("ascii"))


def _element(tag: int, vr: str, value: bytes) -> bytes:
    """Explicit VR Little Endian (PS3.5 §7.1.2), padded to an even length."""
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    if vr in _LONG:
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value
