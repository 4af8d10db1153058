"""Frames per second of a 512 × 512 CT on one core: to JPEG, to PNG, to other transfer syntaxes, and the codec alone.

    ./run bench pixels [--seconds 2] [--only JPEG] [FILE]

Without a file: a drawn slice with some 180 header elements. The ratio is ours to the codec alone on the same pixels:
the median of many turns, in each of which both run ten times and their best counts, in time of the processor. So other
work on the machine, and its changes of speed, count as little as possible. dcmtk's tools, where installed, cost a
process per file, as they do in a script, and are measured by the clock.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
TURN = 10
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


def best_of(run: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    """Seconds of the best of so many runs: the machine's other work only ever adds."""
    best = float("inf")
    for _ in range(count):
        start = clock()
        run()
        best = min(best, clock() - start)
    return best


def in_turns(codec: Callable[[], object], ours: Callable[[], object], seconds: float) -> tuple[float, float, float]:
    """Runs per second of the codec and of ours, and ours to the codec's: medians over the turns."""
    turns, end = [], time.perf_counter() + seconds
    while not turns or time.perf_counter() < end:
        alone, own = (best_of(run, TURN, time.process_time) for run in (codec, ours))
        turns.append((1 / alone, 1 / own, alone / own))
    alone, own, ratio = (statistics.median(column) for column in zip(*turns, strict=True))
    return alone, own, ratio


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


def report(path: Path, seconds: float, out: str, only: str = "") -> None:
    store = LocalBlobStore(str(path.parent))
    source = open_source(store.open(path.name))
    frame = next(decode_frames(source, read_image_pixel(source), lambda: None))
    shown = render_frame(frame, source.ds, 0)
    print(f"{'512 × 512 CT':16} {'ours /s':>9} {'codec /s':>9} {'ratio':>6} {'dcmtk /s':>9}")
    for name, form, codec, tool in rows(frame.pixels, shown, path, out):
        if only not in ("", name):
            continue

        def ours(form: Form = form) -> object:
            with store.open(path.name) as opened:
                return list(represent(opened, form, lambda: None))

        alone, own, ratio = in_turns(codec, ours, 2 * seconds)
        other = "-"
        if tool and shutil.which(tool[0]):

            def theirs(tool: list[str] = tool) -> object:
                return subprocess.run(tool, check=True, capture_output=True)

            other = f"{1 / best_of(theirs, TURN, time.perf_counter):.0f}"
        print(f"{name:16} {own:>9.0f} {alone:>9.0f} {ratio:>6.2f} {other:>9}")


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", default="", help="one row of the table, as JPEG")
    arguments = parser.parse_args(given)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or drawn_file(Path(folder))
        report(path, arguments.seconds, f"{folder}/out", arguments.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
