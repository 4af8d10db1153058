"""Every syntax that can be made, read again by somebody else's decoder, and what has to survive."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.pixels import pixel_array

from gantry.dicom import forms
from gantry.dicom.buffers import Held
from gantry.dicom.open_source import read_instance
from gantry.dicom.transcoding import transcode
from tests.pixels.instances import Extra, image, parts, read, refusal, transcoded
from tests.pixels.readers import independent_pixels
from tests.support.dicom import element
from tests.support.missing import not_tested

ROWS, COLUMNS = 37, 50
LOSSLESS = [uid for uid in forms.PRODUCIBLE if uid not in forms.LOSSY_TARGETS and uid != forms.JXL_JPEG]
KINDS: dict[str, dict[str, Any]] = {
    "grey8": {"bits": (8, 8, 7)},
    "grey12": {"bits": (16, 12, 11)},
    "grey16": {"bits": (16, 16, 15)},
    "signed12": {"bits": (16, 12, 11), "signed": True},
    "signed16": {"bits": (16, 16, 15), "signed": True},
    "rgb": {"photometric": "RGB", "planar": 0},
    "rgb by plane": {"photometric": "RGB", "planar": 1},
    "ybr": {"photometric": "YBR_FULL", "planar": 0},
    "frames": {"bits": (16, 12, 11), "frames": 3},
}
PRIVATE: list[Extra] = [
    (0x0009, 0x0010, b"LO", "SOMEBODY"),
    (0x0009, 0x1001, b"UN", b"\1\2\3\4"),
    (0x0008, 0x0005, b"CS", "ISO_IR 100"),
    (0x0010, 0x0010, b"PN", b"M\xfcller^J\xf6rg "),
    (0x0040, 0x0275, b"SQ", b"\xfe\xff\x00\xe0\x0c\0\0\0" + element(0x0040, 0x0007, b"LO", "CT  ")),
]


def drawn(kind: str) -> tuple[bytes, Any]:
    """An instance with a gradient, noise and the extremes of its bits, and its pixels, colour by pixel."""
    how = KINDS[kind]
    allocated, stored, _ = how.get("bits", (8, 8, 7))
    frames, samples = how.get("frames", 1), 3 if "photometric" in how else 1
    shape = (frames, ROWS, COLUMNS, samples)
    top = (1 << stored) - 1
    noise = np.random.default_rng(len(kind)).integers(0, max(2, top // 8), shape)
    values = (np.linspace(0, top * 0.8, COLUMNS).reshape(1, 1, -1, 1) + noise).astype(np.int64).clip(0, top)
    values[:, 0, 0], values[:, 0, 1] = 0, top
    if how.get("signed"):
        values -= 1 << stored - 1
    pixels = values.astype(f"<{'i' if how.get('signed') else 'u'}{allocated // 8}")
    stored_order = pixels.transpose(0, 3, 1, 2) if how.get("planar") else pixels
    data = image(np.ascontiguousarray(stored_order).tobytes(), ROWS, COLUMNS, extra=PRIVATE, **how)
    return data, pixels.squeeze()


def fits(uid: str, kind: str) -> bool:
    return not (uid in (forms.JXL_LOSSLESS, forms.JXL) and kind.startswith("signed"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("uid", LOSSLESS)
def test_lossless(uid: str, kind: str, tmp_path: Path) -> None:
    data, pixels = drawn(kind)
    if not fits(uid, kind):
        assert "signed" in refusal(data, forms.DICOM, uid)
        return
    made = transcoded(data, uid)
    ds = read(made)
    assert ds.file_meta.TransferSyntaxUID == uid
    if uid != forms.EXPLICIT_LE:
        assert_native_again(made, pixels)
    seen = independent_pixels(made, tmp_path)
    if seen is None:
        not_tested(f"no independent decoder for {uid} is installed")
    if pixels.dtype.kind == "i" and seen.dtype.kind == "u":  # a bare bitstream does not tell the sign
        seen = seen.view(pixels.dtype)
    assert np.array_equal(seen, pixels)


def assert_native_again(made: bytes, pixels: Any) -> None:
    ds = read(transcoded(made, forms.EXPLICIT_LE))
    assert np.array_equal(pixel_array(ds, raw=True), pixels)


@pytest.mark.parametrize("kind", ["grey8", "grey12", "rgb", "ybr"])
@pytest.mark.parametrize("uid", sorted(forms.LOSSY_TARGETS))
def test_lossy_is_near_and_says_so(uid: str, kind: str, tmp_path: Path) -> None:
    data, pixels = drawn(kind)
    if uid == forms.JPEG_BASELINE and kind == "grey12":
        assert "8 bits" in refusal(data, forms.DICOM, uid)
        return
    made = transcoded(data, uid)
    ds = read(made)
    assert (ds.LossyImageCompression, float(ds.LossyImageCompressionRatio) > 1) == ("01", True)
    assert ds.LossyImageCompressionMethod == ("ISO_14495_1" if uid == forms.JPEG_LS_NEAR else "ISO_10918_1")
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID == "1.2.826.1.1.1"
    seen = independent_pixels(made, tmp_path)
    if seen is None:
        not_tested(f"no independent decoder for {uid} is installed")
    assert seen.shape == pixels.shape
    if kind in ("grey8", "grey12"):
        most = 2 if uid == forms.JPEG_LS_NEAR else 0.05 * (1 << ds.BitsStored)
        assert np.abs(seen.astype(int) - pixels).mean() <= most
        if uid == forms.JPEG_LS_NEAR:
            assert np.abs(seen.astype(int) - pixels).max() <= 2


def test_a_second_loss_is_added_to_the_first() -> None:
    extra: list[Extra] = [
        (0x28, 0x2110, b"CS", "01"),
        (0x28, 0x2112, b"DS", "7.5"),
        (0x28, 0x2114, b"CS", "ISO_15444_1"),
    ]
    ds = read(transcoded(image(bytes(range(64)), 8, 8, extra=extra), forms.JPEG_BASELINE))
    assert list(ds.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_10918_1"]
    assert len(ds.LossyImageCompressionRatio) == 2


@pytest.mark.parametrize("uid", [uid for uid in LOSSLESS if uid != forms.EXPLICIT_LE])
def test_everything_else_survives(uid: str) -> None:
    data, _ = drawn("rgb")
    before, after = read(data), read(transcoded(data, uid))
    ours = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration"}
    for item in before:
        if item.keyword not in ours:
            assert after[item.tag].value == item.value, item
            assert after[item.tag].VR == item.VR or uid == forms.IMPLICIT_LE, item
    assert {item.tag for item in after} == {item.tag for item in before}
    assert str(after.PatientName) == "Müller^Jörg"
    meta = after.file_meta
    assert meta.MediaStorageSOPClassUID == after.SOPClassUID
    assert meta.ImplementationVersionName.startswith("GANTRY_")
    assert after.preamble == bytes(128)


def test_what_is_not_touched_is_copied_as_bytes() -> None:
    """Wrong text, an unknown VR's value, an undefined length: as they were, if the encoding allows it."""
    data, _ = drawn("grey12")
    made = transcoded(data, forms.RLE)
    start = data.index(b"\x08\x00\x05\x00CS")
    end = data.index(b"\xe0\x7f\x10\x00O")
    assert data[start:end] in made


@pytest.mark.parametrize(("kind", "vr"), [("grey8", "OB"), ("rgb", "OB"), ("grey12", "OW"), ("signed16", "OW")])
def test_decoded_pixels_have_the_vr_of_their_cells(kind: str, vr: str) -> None:
    """PS3.5 §8.1.2; implicit VR has only words (§A.1)."""
    packed = transcoded(drawn(kind)[0], forms.RLE)
    assert vr == read(transcoded(packed, forms.EXPLICIT_LE))["PixelData"].VR
    assert read(transcoded(packed, forms.IMPLICIT_LE))["PixelData"].VR == "OW"


@pytest.mark.parametrize("target", [forms.IMPLICIT_LE, forms.DEFLATED_LE, forms.RLE])
def test_who_waits_for_a_rewritten_instance_is_told_that_it_goes_on(target: str) -> None:
    beats: list[None] = []
    transcode(read_instance(Held(drawn("grey8")[0])), target, lambda: beats.append(None))
    assert beats


def test_the_stored_syntax_gives_the_stored_bytes() -> None:
    data, _ = drawn("grey8")
    assert transcoded(data + b"", forms.EXPLICIT_LE) == data
    assert parts(data, forms.DICOM)[0].data == data


def test_encapsulation_has_an_offset_table_that_points_at_the_frames() -> None:
    from pydicom.encaps import parse_basic_offsets

    data, _ = drawn("frames")
    value = read(transcoded(data, forms.RLE)).PixelData
    offsets = parse_basic_offsets(value)
    first = 8 + 4 * 3
    assert len(offsets) == 3 and offsets[0] == 0
    assert {value[first + offset : first + offset + 4] for offset in offsets} == {b"\xfe\xff\x00\xe0"}


def test_colour_descriptions() -> None:
    data, _ = drawn("rgb")
    expected = {
        forms.J2K_LOSSLESS: ("YBR_RCT", 0),
        forms.HTJ2K: ("YBR_RCT", 0),
        forms.JPEG_BASELINE: ("YBR_FULL_422", 0),
        forms.JPEG_LS: ("RGB", 0),
        forms.RLE: ("RGB", 1),
    }
    for uid, described in expected.items():
        ds = read(transcoded(data, uid))
        assert (ds.PhotometricInterpretation, ds.PlanarConfiguration) == described


def test_the_header_of_the_bitstream_is_what_the_syntax_demands() -> None:
    """SV1: selection value 1. RPCL: that order, tile-part lengths, the lowest resolution at most 64 × 64."""
    pixels = np.random.default_rng(1).integers(0, 4096, (300, 260)).astype("<u2").tobytes()
    data = image(pixels, 300, 260, bits=(16, 12, 11))

    def frame(uid: str) -> bytes:
        (part,) = parts(transcoded(data, uid), forms.OCTETS, forms.AS_STORED)
        return part.data

    lossless = frame(forms.JPEG_LOSSLESS_SV1)
    scan = lossless.index(b"\xff\xda")
    assert lossless[scan + 7] == 1
    rpcl = frame(forms.HTJ2K_RPCL)
    style = rpcl.index(b"\xff\x52")
    assert rpcl[style + 5] == 2
    assert 300 / 2 ** rpcl[style + 9] <= 64
    assert b"\xff\x55" in rpcl[:300]
    assert frame(forms.JPEG_LS)[:4] == b"\xff\xd8\xff\xf7"


def test_jpeg_to_jpeg_xl_and_back_keeps_the_bitstream() -> None:
    import imagecodecs

    rgb = np.random.default_rng(3).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    frame = bytes(imagecodecs.jpeg8_encode(rgb, 80, subsampling="422"))
    data = image([frame], 16, 16, syntax=forms.JPEG_BASELINE, photometric="YBR_FULL_422", planar=0)
    (part,) = parts(transcoded(data, forms.JXL_JPEG), forms.OCTETS, forms.AS_STORED)
    assert bytes(imagecodecs.jpegxl_decode_jpeg(part.data.rstrip(b"\0"), numthreads=1)) == frame
    assert "only JPEG Baseline" in refusal(image(bytes(4), 2, 2), forms.DICOM, forms.JXL_JPEG)


def test_an_encoder_that_changes_pixels_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry.dicom import encoders

    honest = encoders.ENCODERS[forms.RLE]

    def lies(frame: Any) -> Any:
        pixels = frame.pixels.copy()
        pixels.flat[0] ^= 1
        return honest(type(frame)(pixels, frame.image))

    monkeypatch.setitem(encoders.ENCODERS, forms.RLE, lies)
    assert refusal(image(bytes(4), 2, 2), forms.DICOM, forms.RLE) == "the encoder changed pixels"


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (65, 1)])
@pytest.mark.parametrize("uid", LOSSLESS)
def test_tiny_images(uid: str, size: tuple[int, int]) -> None:
    pixels = bytes(range(size[0] * size[1]))
    made = transcoded(image(pixels, *size), uid)
    assert [part.data for part in parts(made, forms.OCTETS, forms.EXPLICIT_LE)] == [pixels]


def test_refusals_name_what_does_not_fit() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "BitsAllocated 1" in refusal(image(b"\1", 1, 4, bits=(1, 1, 0)), forms.DICOM, forms.J2K)
        assert "BitsAllocated 32" in refusal(image(bytes(4), 1, 1, bits=(32, 32, 31)), forms.DICOM, forms.J2K)
        palette = image(bytes(4), 2, 2, photometric="PALETTE COLOR")
        assert "palette" in refusal(palette, forms.DICOM, forms.JPEG_BASELINE)
        overlay: list[Extra] = [(0x6000, 0x0102, b"US", b"\x0f\0")]
        data = image(bytes(8), 2, 2, bits=(16, 12, 11), extra=overlay)
        assert "overlay" in refusal(data, forms.DICOM, forms.J2K)
        assert transcoded(data, forms.RLE)
