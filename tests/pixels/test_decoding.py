"""Native cells and encapsulated frames to values that were worked out by hand."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest

from gantry.dicom import forms
from gantry.dicom.views import frame_bitstreams
from tests.pixels.instances import Opened, image, parts, read, refusal, transcoded

RAW = (forms.OCTETS, forms.EXPLICIT_LE)


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def raw(data: bytes) -> list[bytes]:
    return [part.data for part in parts(data, *RAW)]


def test_grey_bytes() -> None:
    assert raw(image(b"\1\2\3\4\5\6", 2, 3)) == [b"\1\2\3\4\5\6"]


def test_odd_length_drops_the_padding() -> None:
    assert raw(image(b"\1\2\3", 1, 3)) == [b"\1\2\3"]


def test_colour_by_plane_becomes_colour_by_pixel() -> None:
    assert raw(image(b"RRGGBB", 1, 2, photometric="RGB", planar=1)) == [b"RGBRGB"]
    assert raw(image(b"RGBrgb", 1, 2, photometric="RGB", planar=0)) == [b"RGBrgb"]


def test_frames_are_numbered_from_one() -> None:
    found = parts(image(b"abcdef", 1, 2, frames=3), *RAW)
    assert [(part.frame, part.extension, part.data) for part in found] == [
        (1, "", b"ab"),
        (2, "", b"cd"),
        (3, "", b"ef"),
    ]
    assert [part.frame for part in parts(image(b"ab", 1, 2), *RAW)] == [0]


def test_single_bits_begin_inside_a_byte() -> None:
    """Two frames of 5 bits: 11010 and 00111, lowest bit first (PS3.5 §8.1.1)."""
    data = image(bytes([0b10001011, 0b11]), 1, 5, bits=(1, 1, 0), frames=2)
    assert raw(data) == [bytes([0b01011]), bytes([0b11100])]


def test_ybr_422_shares_chroma() -> None:
    data = image(bytes([10, 20, 128, 129]), 1, 2, photometric="YBR_FULL_422", planar=0)
    assert raw(data) == [bytes([10, 128, 129, 20, 128, 129])]


def test_big_endian_words() -> None:
    little = image(words(0x0102, 0x0304), 1, 2, bits=(16, 16, 15))
    big = transcoded_to_big_endian(little)
    assert raw(big) == [words(0x0102, 0x0304)]
    native = read(transcoded(big, forms.EXPLICIT_LE))
    assert (native.PixelData, native.Rows, native.Columns) == (words(0x0102, 0x0304), 1, 2)


def transcoded_to_big_endian(data: bytes) -> bytes:
    """By hand: every element of these instances is text, US or words."""
    start = data.index(b"\x08\x00\x16\x00UI")
    head = data[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0")
    at, out = start, b""
    while at < len(data):
        group, number, vr, length = struct.unpack_from("<HH2sH", data, at)
        size = 8
        if vr in (b"OW", b"OB"):
            length, size = struct.unpack_from("<I", data, at + 8)[0], 12
        value = data[at + size : at + size + length]
        if vr in (b"US", b"OW"):
            value = b"".join(value[i : i + 2][::-1] for i in range(0, length, 2))
        out += struct.pack(">HH2s", group, number, vr) + struct.pack(">H" if size == 8 else ">2xI", length) + value
        at += size + length
    return head + out


def test_stored_bits_lose_what_lies_above_them_only_where_values_count() -> None:
    """0xF001 with 12 bits stored is the value 1; native to native keeps the cell."""
    data = image(words(0xF001, 0x0FFF), 1, 2, bits=(16, 12, 11))
    assert read(transcoded(data, forms.IMPLICIT_LE)).PixelData == words(0xF001, 0x0FFF)
    assert raw(transcoded(data, forms.RLE)) == [words(0xF001, 0x0FFF)]
    encoded = transcoded(data, forms.JPEG_LOSSLESS_SV1)
    assert read(transcoded(encoded, forms.EXPLICIT_LE)).PixelData == words(0x0001, 0x0FFF)


def test_signs_are_those_of_the_stored_bits() -> None:
    data = image(words(0x0FFF, 0x0800, 0x07FF), 1, 3, bits=(16, 12, 11), signed=True)
    encoded = transcoded(data, forms.J2K_LOSSLESS)
    assert read(transcoded(encoded, forms.EXPLICIT_LE)).pixel_array.tolist() == [[-1, -2048, 2047]]


def test_a_high_bit_further_up_moves_down() -> None:
    encoded = transcoded(image(words(0x1230, 0xFFF0), 1, 2, bits=(16, 12, 15)), forms.JPEG_LS)
    ds = read(encoded)
    assert (ds.BitsStored, ds.HighBit) == (12, 11)
    assert read(transcoded(encoded, forms.EXPLICIT_LE)).pixel_array.tolist() == [[0x123, 0xFFF]]


@pytest.mark.parametrize("predictor", range(1, 8))
def test_lossless_jpeg_of_every_predictor(predictor: int) -> None:
    pixels = np.random.default_rng(predictor).integers(0, 4096, (9, 7)).astype("<u2")
    frame = imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=12)
    data = image([bytes(frame)], 9, 7, syntax=forms.JPEG_LOSSLESS, bits=(16, 12, 11))
    assert raw(data) == [pixels.tobytes()]


def _grey_jpegs(count: int) -> tuple[list[bytes], Any]:
    pixels = [np.full((8, 8), 30 * (1 + number), np.uint8) for number in range(count)]
    return [bytes(imagecodecs.jpeg8_encode(one, 95)) for one in pixels], pixels


@pytest.mark.parametrize("table", ["none", "basic", "wrong"])
@pytest.mark.parametrize("first", [2, 200])
def test_frames_in_several_fragments(table: str, first: int) -> None:
    frames, pixels = _grey_jpegs(3)
    fragments = [part for frame in frames for part in (frame[:first], frame[first:])]
    starts, at = [], 0
    for number, fragment in enumerate(fragments):
        if number % 2 == 0:
            starts.append(at if table != "wrong" else at + 2 * number)
        at += 8 + len(fragment) + len(fragment) % 2
    offsets = b"" if table == "none" else struct.pack("<3I", *starts)
    data = image(fragments, 8, 8, syntax=forms.JPEG_BASELINE, frames=3, offsets=offsets)
    assert raw(data) == [one.tobytes() for one in pixels]
    stored = parts(data, forms.OCTETS, forms.AS_STORED)
    assert [part.data.rstrip(b"\0") for part in stored] == frames
    assert [part.frame for part in stored] == [1, 2, 3]


def test_extended_offset_table() -> None:
    frames, pixels = _grey_jpegs(2)
    frames[0] += b"\0" * (len(frames[0]) % 2)
    tables = [struct.pack("<2Q", 0, 8 + len(frames[0])), struct.pack("<2Q", *(len(frame) for frame in frames))]
    body = image(frames, 8, 8, syntax=forms.JPEG_BASELINE, frames=2)
    at = body.index(b"\xe0\x7f\x10\x00OB")
    extra = b"".join(struct.pack("<HH2s2xI", 0x7FE0, n, b"OV", 16) + table for n, table in enumerate(tables, 1))
    data = body[:at] + extra + body[at:]
    assert raw(data) == [one.tobytes() for one in pixels]
    again = read(transcoded(data, forms.JXL_JPEG))
    assert (0x7FE0, 1) not in again and (0x7FE0, 2) not in again


def test_single_frames_are_recompressed_as_the_instance_is() -> None:
    frames, _ = _grey_jpegs(3)
    data = Opened(image(frames, 8, 8, syntax=forms.JPEG_BASELINE, frames=3))
    made = list(frame_bitstreams(data, forms.JXL_JPEG, [2, 0], lambda: None))
    assert [bytes(imagecodecs.jpegxl_decode_jpeg(one)) for one in made] == [frames[2], frames[0]]


def test_deflated_frames() -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    frame = deflater.compress(words(1, 2, 3)) + deflater.flush()
    assert raw(image([frame], 1, 3, syntax=forms.DEFLATED_FRAME, bits=(16, 16, 15))) == [words(1, 2, 3)]


def test_jpeg_colour_is_told_by_the_bitstream_before_the_attribute() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 200
    plain = imagecodecs.jpeg8_encode(red, 95, colorspace="RGB", outcolorspace="RGB")
    turned = imagecodecs.jpeg8_encode(red, 95, colorspace="RGB", outcolorspace="YCBCR")
    for frame in (plain, turned):
        for name in ("RGB", "YBR_FULL"):
            data = image([bytes(frame)], 8, 8, syntax=forms.JPEG_BASELINE, photometric=name, planar=0)
            found = np.frombuffer(raw(data)[0], np.uint8).reshape(8, 8, 3).astype(int)
            assert abs(found - red).max() <= 3, name


class TestRefusals:
    def test_no_pixels(self) -> None:
        data = image(b"", 1, 1)
        data = data[: data.index(b"\xe0\x7f\x10\x00")]
        for form in ((forms.PNG, ""), RAW):
            assert refusal(data, *form) == "has no pixel data: it is a Secondary Capture Image Storage"
        assert read(transcoded(data, forms.IMPLICIT_LE)).Rows == 1
        assert "has no pixel data to compress" in refusal(data, forms.DICOM, forms.RLE)

    @pytest.mark.parametrize(
        ("rows", "columns", "frames"), [(2, 3, 1), (65535, 65535, 1), (65535, 1, 2147483647), (1, 3, 2), (0, 1, 1)]
    )
    def test_declared_is_more_than_there_is(self, rows: int, columns: int, frames: int) -> None:
        data = image(b"\1\2\3", rows, columns, frames=frames)
        assert refusal(data, forms.PNG)
        assert refusal(data, forms.DICOM, forms.RLE)

    @pytest.mark.parametrize("syntax", [forms.JPEG_BASELINE, forms.J2K, forms.JPEG_LS, forms.RLE, forms.JXL])
    def test_rubbish_for_a_bitstream(self, syntax: str) -> None:
        for fragment in (
            b"",
            b"\xff",
            b"\xff\xd8\xff",
            bytes(100),
            b"\xff\x4f\xff\x51" + b"\xff" * 60,
            b"\xff\x0a\xff",
        ):
            assert refusal(image([fragment], 4, 4, syntax=syntax), forms.PNG)

    def test_a_bitstream_of_another_size(self) -> None:
        frame = bytes(imagecodecs.jpeg8_encode(np.zeros((8, 9), np.uint8)))
        assert "8 × 9" in refusal(image([frame], 8, 8, syntax=forms.JPEG_BASELINE), forms.PNG)

    @pytest.mark.parametrize("syntax", [forms.JPEG_LOSSLESS_SV1, forms.JPEG_BASELINE, forms.J2K, forms.JPEG_LS])
    def test_truncated(self, syntax: str) -> None:
        pixels = np.random.default_rng(1).integers(0, 256, (64, 64)).astype(np.uint8)
        whole = transcoded(image(pixels.tobytes(), 64, 64), syntax)
        (frame,) = (part.data for part in parts(whole, forms.OCTETS, forms.AS_STORED))
        assert len(raw(image([frame], 64, 64, syntax=syntax))) == 1
        assert "truncated" in refusal(image([frame[: len(frame) // 2]], 64, 64, syntax=syntax), forms.PNG)

    def test_a_tile_bomb(self) -> None:
        frame = b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 41, 0, 9000, 9000, 0, 0, 1, 1, 0, 0, 1) + b"\7\1\1"
        assert "tiles" in refusal(image([frame], 9000, 9000, syntax=forms.J2K), forms.PNG)

    def test_an_rle_header_that_points_outside(self) -> None:
        frame = struct.pack("<16I", 1, 4000, *[0] * 14) + b"\0\0"
        assert "RLE" in refusal(image([frame], 1, 1, syntax=forms.RLE), forms.PNG)

    def test_a_deflate_bomb_is_not_inflated(self) -> None:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        frame = deflater.compress(bytes(50_000_000)) + deflater.flush()
        assert "inflates" in refusal(image([frame], 2, 2, syntax=forms.DEFLATED_FRAME), forms.PNG)

    def test_sizes_beyond_the_limits(self) -> None:
        big = Opened(b"")
        big.size = 2**30 + 1
        from gantry.dicom.forms import Form
        from gantry.dicom.representations import represent
        from gantry.errors import FailedPrecondition

        with pytest.raises(FailedPrecondition, match="1073741825 bytes"):
            next(represent(big, Form(forms.PNG, ""), lambda: None))
        assert "150000000" in refusal(image(bytes(8), 40000, 40000), forms.PNG)


def test_a_beat_before_every_frame() -> None:
    from gantry.dicom.forms import Form
    from gantry.dicom.representations import represent

    told: list[str] = []
    for part in represent(Opened(image(b"abcdef", 1, 2, frames=3)), Form(forms.PNG, ""), lambda: told.append("beat")):
        told.append(str(part.frame))
    assert told == ["beat", "beat", "1", "beat", "2", "beat", "3"]


@pytest.mark.parametrize("stored", [8, 10])
def test_what_a_lossy_codec_overshoots_is_cut_and_does_not_wrap(stored: int) -> None:
    """White beside black comes back as white, not as the lowest bits of a little more than white."""
    most = (1 << stored) - 1
    pixels = np.random.default_rng(5).choice([0, most], (32, 32)).astype("<u2")
    jpeg = bytes(imagecodecs.jpeg8_encode(pixels, 90, bitspersample=12))
    j2k = bytes(imagecodecs.jpeg2k_encode(pixels, 72, codecformat="j2k", reversible=False, bitspersample=16))
    for data, syntax in ((jpeg, forms.JPEG_EXTENDED), (j2k, forms.J2K)):
        (native,) = raw(image([data], 32, 32, syntax=syntax, bits=(16, stored, stored - 1)))
        seen = np.frombuffer(native, "<u2").reshape(32, 32).astype(int)
        assert np.abs(seen - pixels).max() < most / 2


def test_a_codestream_in_another_box_is_not_the_one_that_is_checked() -> None:
    """A decoder would take the last box, four times as large as declared."""
    small, large = (
        bytes(imagecodecs.jpeg2k_encode(np.zeros((side, side), np.uint8), 0, codecformat="jp2")) for side in (8, 16)
    )
    fake = small[small.index(b"jp2c") :]
    box = struct.pack(">I", 8 + 16 + len(fake)) + b"uuid" + bytes(16) + fake
    at = large.index(b"jp2c") - 4
    data = image([large[:at] + box + large[at:]], 8, 8, syntax=forms.J2K_LOSSLESS)
    assert refusal(data, *RAW) == "a frame has 16 × 16 pixels, but Rows × Columns is 8 × 8"


def test_full_samples_called_422_keep_their_frames_as_stored() -> None:
    data = image(bytes(range(96)), 4, 4, photometric="YBR_FULL_422", frames=2, planar=0)
    stored = [part.data for part in parts(data, forms.OCTETS, forms.AS_STORED)]
    assert stored == [bytes(range(48)), bytes(range(48, 96))]


def test_an_overlay_in_unused_bits_is_not_dropped_in_silence() -> None:
    overlay = ((0x6000, 0x102, b"US", words(12)),)
    native = image(words(0x1001, 0x0002), 1, 2, bits=(16, 12, 11), extra=overlay)
    assert read(transcoded(native, forms.IMPLICIT_LE)).PixelData == words(0x1001, 0x0002)
    assert "overlay" in refusal(native, forms.DICOM, forms.JPEG_LS)
    whole = bytes(imagecodecs.jpegls_encode(np.array([[0x1001, 2]], "<u2")))
    encoded = image([whole], 1, 2, syntax=forms.JPEG_LS, bits=(16, 12, 11), extra=overlay)
    assert "overlay" in refusal(encoded, forms.DICOM, forms.EXPLICIT_LE)


def test_pixels_on_a_jpip_server_are_not_here() -> None:
    assert "JPIP" in refusal(image(b"ab", 1, 2, syntax="1.2.840.10008.1.2.4.94"), forms.DICOM, forms.EXPLICIT_LE)


def test_a_loss_that_nobody_mentioned_is_told_once_the_bitstream_is_gone() -> None:
    """PS3.3 §C.7.6.1.1.5: 01 stays true after decoding."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    lossy = image([bytes(imagecodecs.jpeg8_encode(pixels, 90))], 8, 8, syntax=forms.JPEG_BASELINE)
    assert read(transcoded(lossy, forms.EXPLICIT_LE)).LossyImageCompression == "01"
    lossless = image([bytes(imagecodecs.jpegls_encode(pixels))], 8, 8, syntax=forms.JPEG_LS)
    assert "LossyImageCompression" not in read(transcoded(lossless, forms.EXPLICIT_LE))


def test_a_step_without_a_method_gets_its_own_before_the_next() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    extra = ((0x28, 0x2110, b"CS", "01"), (0x28, 0x2112, b"DS", "9.5"))
    data = bytes(imagecodecs.jpeg2k_encode(pixels, 30, codecformat="j2k", reversible=False))
    ds = read(transcoded(image([data], 8, 8, syntax=forms.J2K, extra=extra), forms.JPEG_LS_NEAR))
    assert list(ds.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_14495_1"]
