"""Other people's decoders, so that none of ours judges itself. None where no other one is installed."""

from __future__ import annotations

import shutil
import subprocess
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array

from gantry.dicom import forms

_DCMTK = {
    **dict.fromkeys(
        (forms.JPEG_BASELINE, forms.JPEG_EXTENDED, forms.JPEG_LOSSLESS, forms.JPEG_LOSSLESS_SV1), "dcmdjpeg"
    ),
    **dict.fromkeys((forms.JPEG_LS, forms.JPEG_LS_NEAR), "dcmdjpls"),
    forms.RLE: "dcmdrle",
}
_HTJ2K = (forms.HTJ2K_LOSSLESS, forms.HTJ2K_RPCL, forms.HTJ2K)
_J2K = (forms.J2K_LOSSLESS, forms.J2K)
_JXL = (forms.JXL_LOSSLESS, forms.JXL_JPEG, forms.JXL)


def independent_pixels(data: bytes, folder: Path) -> Any:
    """The pixels of an instance, frames first where there are several; None: nobody to ask."""
    path = folder / "instance.dcm"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(path)
        syntax = str(ds.file_meta.TransferSyntaxUID)
        if syntax in _DCMTK:
            return _by_dcmtk(path, folder / "native.dcm", _DCMTK[syntax])
        if syntax in (*_HTJ2K, *_J2K, *_JXL, forms.DEFLATED_FRAME):
            return _by_frame(ds, syntax)
        return pixel_array(ds, raw=True)


def _by_dcmtk(path: Path, native: Path, tool: str) -> Any:
    if not shutil.which(tool):
        return None
    options = ["+cn"] if tool == "dcmdjpeg" else []
    subprocess.run([tool, *options, str(path), str(native)], check=True, capture_output=True)
    return pixel_array(native, raw=True)


def _by_frame(ds: Any, syntax: str) -> Any:
    """HTJ2K by OpenJPH, J2K by Netpbm's JasPer (ours: OpenJPEG); JPEG XL by djxl, deflated frames by zlib and hand."""
    number = int(ds.get("NumberOfFrames", 1))
    frames = []
    for frame in generate_frames(ds.PixelData, number_of_frames=number):
        pixels = _decoded(frame, syntax, ds)
        if pixels is None:
            return None
        frames.append(pixels)
    return frames[0] if number == 1 else np.stack(frames)


def _decoded(frame: bytes, syntax: str, ds: Any) -> Any:
    import imagecodecs

    if syntax in _HTJ2K:
        return imagecodecs.htj2k_decode(frame, planar=False)
    if syntax in _J2K:
        return _by_jasper(frame)
    if syntax in _JXL:
        return _by_djxl(frame, ds)
    inflated = zlib.decompress(frame, -15)
    kind = ("i" if ds.PixelRepresentation else "u") + str(ds.BitsAllocated // 8)
    shape = (ds.Rows, ds.Columns) if ds.SamplesPerPixel == 1 else (ds.Rows, ds.Columns, 3)
    return np.frombuffer(inflated, f"<{kind}", count=int(np.prod(shape))).reshape(shape)


def _by_jasper(frame: bytes) -> Any:
    """Netpbm has no negative values: signed samples are declared unsigned in SIZ, and so come out raised by a half."""
    if not frame.startswith(b"\xff\x4f"):  # a JPX file, as somebody else stored it
        return None
    depth = frame[42]
    if depth & 0x80:
        raised = _by_jasper(frame[:42] + bytes([depth & 0x7F]) + frame[43:])
        return None if raised is None else (raised.astype(np.int32) - (1 << (depth & 0x7F))).astype(np.int16)
    if not shutil.which("jpeg2ktopam"):
        return None
    made = subprocess.run(["jpeg2ktopam", "-"], input=frame, check=True, capture_output=True).stdout
    kind, size, most, body = made.split(b"\n", 3)
    columns, rows = map(int, size.split())
    shape = (rows, columns) if kind == b"P5" else (rows, columns, 3)
    return np.frombuffer(body, ">u2" if int(most) > 255 else "u1").astype(f"u{1 + (int(most) > 255)}").reshape(shape)


def _by_djxl(frame: bytes, ds: Any) -> Any:
    """Netpbm out of libjxl's own tool: another build of the library than ours."""
    import tempfile

    if not shutil.which("djxl"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.jxl"), Path(folder, "a.ppm" if ds.SamplesPerPixel == 3 else "a.pgm")
        source.write_bytes(frame)
        subprocess.run(["djxl", str(source), str(target)], check=True, capture_output=True)
        _, size, most, body = target.read_bytes().split(b"\n", 3)
    assert size.split() == [str(ds.Columns).encode(), str(ds.Rows).encode()]
    shape = (ds.Rows, ds.Columns) if ds.SamplesPerPixel == 1 else (ds.Rows, ds.Columns, 3)
    pixels = np.frombuffer(body, ">u2" if int(most) > 255 else "u1").reshape(shape)
    # Netpbm written by djxl spreads the values over whole bytes; the stored depth is below.
    top = (1 << ds.BitsStored) - 1
    reached = 65535 if int(pixels.max()) > int(most) else int(most)
    return np.rint(pixels.astype(np.float64) * top / reached).astype(f"u{ds.BitsAllocated // 8}")
