"""Real files to every form: ``$GANTRY_CORPUS`` holds ``manifest.csv`` and the files under ``data/``.

A sample by default, everything in the slow run. An instance yields files that somebody else can open, with equal pixels
where nothing may be lost, or is refused with a sentence.
"""

from __future__ import annotations

import csv
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gantry.dicom import forms
from gantry.errors import StatusError
from tests.pixels.instances import Opened, parts, read
from tests.pixels.readers import independent_pixels

CORPUS = os.environ.get("GANTRY_CORPUS", "")
WHY = "NOT TESTED: GANTRY_CORPUS is not set to a directory with manifest.csv and data/"
SAMPLE = 25
MAX_SAMPLE_BYTES = 400_000
ALL = [
    *((forms.DICOM, uid) for uid in forms.PRODUCIBLE),
    *((forms.OCTETS, forms.EXPLICIT_LE), (forms.OCTETS, ""), (forms.JPEG, forms.JPEG_BASELINE), (forms.PNG, "")),
]
FEW = [
    *((forms.DICOM, uid) for uid in (forms.IMPLICIT_LE, forms.EXPLICIT_LE, forms.RLE, forms.JPEG_LS, forms.HTJ2K)),
    *((forms.OCTETS, forms.EXPLICIT_LE), (forms.JPEG, forms.JPEG_BASELINE), (forms.PNG, "")),
]


def manifest() -> list[dict[str, str]]:
    if not CORPUS:
        return []
    with Path(CORPUS, "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ok_files() -> list[str]:
    return [row["file"] for row in manifest() if row["file"].startswith("ok/")]


def sample() -> list[str]:
    """Files of every transfer syntax first, then evenly from the rest; none of the large ones."""
    small = [row for row in manifest() if row["file"].startswith("ok/") and int(row["bytes"]) < MAX_SAMPLE_BYTES]
    first = {row["transfer_syntax"]: row["file"] for row in reversed(small) if row["pixel"]}
    rest = [row["file"] for row in small if row["file"] not in first.values()]
    wanted = max(1, SAMPLE - len(first))
    return [*first.values(), *rest[:: max(1, len(rest) // wanted)][:wanted]]


def named(files: list[str]) -> list[Any]:
    return list(files) or [pytest.param("", marks=pytest.mark.skip(reason=WHY))]


def check(name: str, wanted: list[tuple[str, str]], folder: Path) -> None:
    data = Path(CORPUS, "data", name).read_bytes()
    try:
        reference = [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)]
    except StatusError:
        reference = []
    for media_type, syntax in wanted:
        try:
            found = parts(data, media_type, syntax)
        except StatusError as error:
            assert error.message, (media_type, syntax)
            assert "changed pixels" not in error.message
            continue
        if media_type == forms.DICOM:
            check_instance(found[0].data, syntax, data, reference, folder)
        elif media_type in (forms.JPEG, forms.PNG):
            assert reference
            ds = read(data)
            for part in found:
                picture = Image.open(BytesIO(part.data))
                picture.load()
                assert picture.size == (ds.Columns, ds.Rows)
                assert picture.format == {".jpg": "JPEG", ".png": "PNG"}[part.extension]


def check_instance(made: bytes, syntax: str, data: bytes, reference: list[bytes], folder: Path) -> None:
    before, after = read(data), read(made)
    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.SOPInstanceUID == before.SOPInstanceUID
    assert {item.tag for item in before if item.tag.group < 0x28 and item.tag.element} == {
        item.tag for item in after if item.tag.group < 0x28 and item.tag.element
    }
    if "PixelData" not in before or not reference or before.BitsAllocated == 1:
        return
    seen = independent_pixels(made, folder)
    if seen is None:
        return
    count = len(reference)
    assert seen.size % count == 0
    if syntax in forms.LOSSY_TARGETS or syntax == before.file_meta.TransferSyntaxUID or syntax == forms.JXL_JPEG:
        return
    own = np.frombuffer(b"".join(reference), f"<u{before.BitsAllocated // 8}").reshape(-1)
    mask = own.dtype.type((1 << before.BitsStored) - 1)
    low = before.get("HighBit", before.BitsStored - 1) + 1 - before.BitsStored
    moved = after.get("HighBit", 0) + 1 - after.BitsStored
    theirs = np.ascontiguousarray(seen).reshape(-1).astype(own.dtype)
    assert np.array_equal((theirs >> moved) & mask, (own >> low) & mask), syntax


@pytest.mark.parametrize("name", named(sample()))
def test_sample(name: str, tmp_path: Path) -> None:
    check(name, FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", named(ok_files()))
def test_every_file_to_every_form(name: str, tmp_path: Path) -> None:
    check(name, ALL, tmp_path)


@pytest.mark.parametrize(
    "name", named([row["file"] for row in manifest() if row["file"].startswith(("reject/", "doubtful/"))])
)
def test_hostile_files_are_refused_by_a_sentence_or_represented(name: str) -> None:
    data = Path(CORPUS, "data", name).read_bytes()
    for media_type, syntax in (*FEW, (forms.OCTETS, "")):
        try:
            parts(data, media_type, syntax)
        except StatusError as error:
            assert error.message


def test_an_empty_object() -> None:
    with pytest.raises(StatusError):
        parts(b"", forms.PNG)
    assert Opened(b"").size == 0


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason=WHY)
def test_the_decoded_pixels_are_those_of_other_readers(tmp_path: Path) -> None:
    """One small file per stored syntax, decoded by us and by somebody else."""
    compared = 0
    for name in sample():
        data = Path(CORPUS, "data", name).read_bytes()
        ds = read(data)
        if "PixelData" not in ds or ds.BitsAllocated == 1 or ds.file_meta.TransferSyntaxUID == forms.JXL_JPEG:
            continue
        try:
            ours = [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)]
            theirs = independent_pixels(data, tmp_path)
        except (StatusError, NotImplementedError, RuntimeError):
            continue
        if theirs is None or ds.PhotometricInterpretation.startswith("YBR"):
            continue
        mine = np.frombuffer(b"".join(ours), theirs.dtype).reshape(theirs.shape)
        assert np.array_equal(mine, theirs), name
        compared += 1
    assert compared >= 10
