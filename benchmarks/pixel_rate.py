"""Frames per second of a 512 × 512 CT on one core: to JPEG, to PNG, to other transfer syntaxes, and the codec alone.

    python -m benchmarks.pixel_rate [--seconds 2] [FILE]

Without a file: a drawn slice with some 180 header elements. The ratio is ours to the codec alone on the same pixels, in
turns, best of many. dcmtk's tools, where installed, cost a process per file, as they do in a script.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from rle.rle import encode_frame as encode_rle

from benchmarks.corpus import make_corpus
from gantry.dicom import forms
from gantry.dicom.cells import Pixels
from gantry.dicom.forms import Form
from gantry.dicom.frames import decode_frames
from gantry.dicom.image_source import read_image_pixel
from gantry.dicom.open_source import open_source
from gantry.dicom.rendering import render_frame
from gantry.dicom.representations import represent
from gantry.storage.local import LocalBlobStore

SIDE = 512
Row = tuple[str, Form, Callable[[], object], list[str]]


def draw_slice() -> Pixels:
    """Air, a body, lungs, a spine and noise, in 12 bits with an intercept of -1024."""
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    image = np.full((SIDE, SIDE), 24.0)
    for cx, cy, rx, ry, value in (
        (0, 0, 0.85, 0.65, 1070),
        (-0.38, -0.05, 0.28, 0.42, 180),
        (0.38, -0.05, 0.28, 0.42, 180),
        (0, 0.45, 0.1, 0.1, 1700),
        (0.05, 0, 0.12, 0.2, 1110),
    ):
        image[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = value
    noise = np.random.default_rng(7).normal(0, 14, image.shape)
    return np.asarray(np.clip(np.rint(image + noise), 0, 4095).astype("<u2"))


def drawn_file(directory: Path) -> Path:
    corpus = make_corpus(directory, 1, 530_000, 1, 1)
    path = directory / corpus.slices[0].path
    ds = dcmread(path)
    ds.Rows = ds.Columns = SIDE
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    ds.RescaleIntercept, ds.WindowCenter, ds.WindowWidth = "-1024", "40", "400"
    ds.PixelData = draw_slice().tobytes()
    ds.save_as(path)
    return path


def per_second(run: Callable[[], object], seconds: float) -> float:
    """By the best of many runs: the machine's other work only ever adds."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return 1 / best


def rows(values: Pixels, shown: Pixels, path: Path, out: str) -> list[Row]:
    raw, name = values.tobytes(), str(path)
    high, wide = values.shape

    def j2k() -> object:
        return imagecodecs.jpeg2k_encode(values, 0, codecformat="j2k", bitspersample=12, numthreads=1)

    def lossless() -> object:
        return imagecodecs.jpeg8_encode(values, lossless=True, predictor=1, bitspersample=12)

    table: list[tuple[str, str, str, Callable[[], object], str]] = [
        ("JPEG", forms.JPEG, forms.JPEG_BASELINE, lambda: imagecodecs.jpeg8_encode(shown, 90), "dcmj2pnm +oj +Wi 1"),
        ("PNG", forms.PNG, "", lambda: imagecodecs.png_encode(shown, 1), "dcmj2pnm +on +Wi 1"),
        ("RLE", forms.DICOM, forms.RLE, lambda: encode_rle(raw, high, wide, 1, 16, "<"), "dcmcrle"),
        ("J2K", forms.DICOM, forms.J2K_LOSSLESS, j2k, ""),
        ("HTJ2K", forms.DICOM, forms.HTJ2K_LOSSLESS, lambda: imagecodecs.htj2k_encode(values, reversible=True), ""),
        ("JPEG-LS", forms.DICOM, forms.JPEG_LS, lambda: imagecodecs.jpegls_encode(values), "dcmcjpls"),
        ("JPEG lossless", forms.DICOM, forms.JPEG_LOSSLESS_SV1, lossless, "dcmcjpeg"),
    ]
    return [
        (title, Form(media_type, syntax), codec, [*tool.split(), name, out] if tool else [])
        for title, media_type, syntax, codec, tool in table
    ]


def report(path: Path, seconds: float, out: str) -> None:
    store = LocalBlobStore(str(path.parent))
    source = open_source(store.open(path.name))
    frame = next(decode_frames(source, read_image_pixel(source), lambda: None))
    shown = render_frame(frame, source.ds, 0)
    print(f"{'512 × 512 CT':16} {'ours /s':>9} {'codec /s':>9} {'ratio':>6} {'dcmtk /s':>9}")
    for name, form, codec, tool in rows(frame.pixels, shown, path, out):

        def ours(form: Form = form) -> object:
            with store.open(path.name) as opened:
                return list(represent(opened, form, lambda: None))

        alone, own = per_second(codec, seconds), per_second(ours, seconds)
        other = "-"
        if tool and shutil.which(tool[0]):

            def theirs(tool: list[str] = tool) -> object:
                return subprocess.run(tool, check=True, capture_output=True)

            other = f"{per_second(theirs, seconds):.0f}"
        print(f"{name:16} {own:>9.0f} {alone:>9.0f} {own / alone:>6.2f} {other:>9}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=2)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or drawn_file(Path(folder))
        report(path, arguments.seconds, f"{folder}/out")


if __name__ == "__main__":
    main()
