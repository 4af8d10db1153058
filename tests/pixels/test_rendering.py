"""Pictures whose greys and colours were worked out by hand from PS3.3 §C.11 and §C.7.6.3."""

from __future__ import annotations

import copy
import struct
import tracemalloc
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gantry.dicom import forms
from gantry.dicom.rendering import Grey, _compute_greys, render_grey, window
from gantry.errors import InvalidArgument
from tests.pixels.instances import Extra, image, part10, parts, read, refusal
from tests.support.dicom import element


def text(number: int, vr: bytes, value: str, group: int = 0x28) -> Extra:
    return group, number, vr, value


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *[value & 0xFFFF for value in values])


def shown(data: bytes, number: int = 0) -> list[Any]:
    """The PNG as Pillow reads it."""
    picture = Image.open(BytesIO(parts(data, forms.PNG)[number].data))
    assert picture.mode in ("L", "RGB")
    return np.asarray(picture).tolist()  # type: ignore[no-any-return]


WINDOW = (
    text(0x1050, b"DS", "1040"),
    text(0x1051, b"DS", "400"),
    text(0x1052, b"DS", "-1024"),
    text(0x1053, b"DS", "1"),
)


def test_window_linear_as_the_standard_writes_it() -> None:
    """PS3.3 §C.11.2.1.2.1: x <= c - 0.5 - (w-1)/2 → 0, x > c - 0.5 + (w-1)/2 → 1."""
    values = np.array([-161.0, -160, 39.5, 239, 240])
    assert window(values, 40, 400, "LINEAR").round(4).tolist() == [0, 0, 0.5, 1, 1]
    assert window(values, 40, 400, "LINEAR_EXACT").round(4).tolist() == [0, 0, 0.4988, 0.9975, 1]
    assert window(np.array([40.0, 140]), 40, 400, "SIGMOID").round(4).tolist() == [0.5, 0.7311]
    assert window(np.array([39.0, 40]), 40, 1, "LINEAR").tolist() == [0, 1]


def test_ct_window_after_rescale() -> None:
    """Stored 1024 is 0 HU; window 40/400 in HU: (0 - (-160)) / 399 × 255 = 102."""
    extra = (text(0x1050, b"DS", "40\\300"), text(0x1051, b"DS", "400\\1500"), *WINDOW[2:])
    data = image(words(0, 1024, 1064, 1263, 4095), 1, 5, bits=(16, 12, 11), extra=extra)
    assert shown(data) == [[0, 102, 128, 255, 255]]


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
@pytest.mark.parametrize(("slope", "width"), [(1.0, 400.0), (0.37, 3.5), (-2.0, 4096.0), (1e-3, 0.9), (12.5, 1e5)])
def test_a_straight_window_gives_what_the_table_gives(
    slope: float, width: float, function: str, inverted: bool
) -> None:
    values = np.arange(-2000, 4000, dtype="<i2").reshape(60, 100)
    grey = Grey(slope, -1024.0, None, None, 40.0, width, function, inverted, None)
    drawn = render_grey(values, grey).astype(int)
    table = _compute_greys(np.arange(-2000, 4000), grey, (0, 0)).reshape(60, 100).astype(int)
    assert np.abs(drawn - table).max() <= 1
    assert (drawn != table).mean() < 0.01


def test_signed_ct() -> None:
    extra = (text(0x1050, b"DS", "40"), text(0x1051, b"DS", "400"))
    data = image(words(-1024, -160, 0, 40, 239, 3000), 1, 6, bits=(16, 16, 15), signed=True, extra=extra)
    assert shown(data) == [[0, 0, 102, 128, 255, 255]]


def test_without_a_window_the_extremes_of_the_frame() -> None:
    data = image(words(100, 200, 300, 1000, 1500, 2000), 1, 3, bits=(16, 16, 15), frames=2)
    assert shown(data, 0) == shown(data, 1) == [[0, 128, 255]]


def test_padding_does_not_widen_the_extremes_and_is_black() -> None:
    padding = (0x28, 0x120, b"US", words(60000))
    data = image(words(60000, 100, 150, 200), 1, 4, bits=(16, 16, 15), extra=[padding])
    assert shown(data) == [[0, 0, 128, 255]]
    assert shown(image(words(60000, 100, 150, 200), 1, 4, bits=(16, 16, 15)))[0][1] == 0
    limit = (0x28, 0x121, b"US", words(150))
    low = (0x28, 0x120, b"US", words(100))
    data = image(words(100, 150, 200, 300), 1, 4, bits=(16, 16, 15), photometric="MONOCHROME1", extra=[low, limit])
    assert shown(data) == [[0, 0, 255, 0]]


def test_monochrome1_is_inverted() -> None:
    assert shown(image(bytes([0, 50, 255]), 1, 3, photometric="MONOCHROME1")) == [[255, 205, 0]]


def test_inverse_presentation_lut_shape() -> None:
    extra = [(0x2050, 0x20, b"CS", "INVERSE")]
    assert shown(image(bytes([0, 50, 255]), 1, 3, extra=extra)) == [[255, 205, 0]]
    assert shown(image(bytes([0, 50, 255]), 1, 3, photometric="MONOCHROME1", extra=extra)) == [[255, 205, 0]]


def test_a_window_shows_padding_as_any_other_value() -> None:
    """Some writers give 0 as padding where 0 HU is water: no black specks in tissue."""
    extra = (text(0x1050, b"DS", "40"), text(0x1051, b"DS", "400"), (0x28, 0x120, b"SS", words(0)))
    data = image(words(-1024, 0, 239), 1, 3, bits=(16, 16, 15), signed=True, extra=extra)
    assert shown(data) == [[0, 102, 255]]


def test_a_flat_frame_is_no_division_by_zero() -> None:
    assert shown(image(bytes([0, 0]), 1, 2)) == [[0, 0]]
    assert shown(image(bytes([7, 7]), 1, 2)) == [[7, 7]]
    assert shown(image(words(0x8000, 0x8000), 1, 2, bits=(16, 16, 15))) == [[128, 128]]


def test_bytes_without_a_window_are_shown_as_they_are() -> None:
    """PS3.3 §A.8.4.4: P-Values; so a grey means the same in every frame of a clip."""
    data = image(bytes([10, 100, 100, 200]), 1, 2, frames=2)
    assert (shown(data, 0), shown(data, 1)) == ([[10, 100]], [[100, 200]])
    assert shown(image(bytes([0, 5, 10, 15]), 1, 4, bits=(8, 4, 3))) == [[0, 85, 170, 255]]


def test_a_modality_lut_without_a_window_spans_what_the_frame_holds() -> None:
    data = image(words(100, 101, 102), 1, 3, bits=(16, 16, 15))
    data = with_sequences(data, sequence(0x28, 0x3000, lut(99, 16, 60000, 10, 20, 30)))
    assert shown(data) == [[0, 128, 255]]


def test_negative_numbers_written_as_us() -> None:
    extra = ((0x28, 0x120, b"US", words(-2000)),)
    data = image(words(-2000, 0, 1, 2), 1, 4, bits=(16, 16, 15), signed=True, extra=extra)
    assert shown(data) == [[0, 0, 128, 255]]
    data = image(words(-128, -127), 1, 2, bits=(16, 16, 15), signed=True)
    assert shown(with_sequences(data, sequence(0x28, 0x3010, lut(-128, 8, 20, 40)))) == [[20, 40]]


def test_far_below_zero_takes_no_memory_for_what_lies_between() -> None:
    data = image(struct.pack("<3i", -(2**31), -(2**31) + 1, -(2**31) + 2), 1, 3, bits=(32, 32, 31), signed=True)
    assert shown(data) == [[0, 128, 255]]


def test_look_up_tables_in_big_endian() -> None:
    """Words in OW are swapped with the rest (PS3.5 §7.3)."""
    ds = read(with_sequences(image(bytes([0, 1, 2]), 1, 3), sequence(0x28, 0x3010, lut(0, 12, 0x123, 0x456, 0xFFF))))
    expected = shown(written(ds, True))
    item = ds.VOILUTSequence[0]
    item.LUTData = bytes(np.frombuffer(item["LUTData"].value, "<u2").astype(">u2").tobytes())
    assert shown(written(ds, False)) == expected
    ds = read(
        image(bytes([5, 6]), 1, 2, photometric="PALETTE COLOR", extra=palette(16, (0x1234, 1, 2), (3, 4, 0x8899)))
    )
    expected = shown(written(ds, True))
    for name in ("Red", "Green", "Blue"):
        element_ = ds[f"{name}PaletteColorLookupTableData"]
        element_.value = np.frombuffer(element_.value, "<u2").astype(">u2").tobytes()
    assert shown(written(ds, False)) == expected


def written(ds: Any, little_endian: bool) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = False, little_endian
    ds = copy.deepcopy(ds)
    assert list(ds.iterall())  # numbers instead of the bytes they were read as
    ds.set_original_encoding(False, little_endian)
    write_dataset(out, ds)
    return part10(out.getvalue(), forms.EXPLICIT_LE if little_endian else forms.EXPLICIT_BE)


@pytest.mark.parametrize("value", ["nan", "1e400", "", "abc", "0"])
def test_useless_numbers_for_a_window(value: str) -> None:
    extra = (text(0x1050, b"DS", value), text(0x1051, b"DS", value), text(0x1052, b"DS", value))
    data = image(bytes([0, 128, 255]), 1, 3, extra=extra)
    try:
        assert len(shown(data)[0]) == 3
    except InvalidArgument as error:
        assert error.message.startswith("the instance cannot be read")


def sequence(group: int, number: int, *items: bytes) -> bytes:
    inside = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return element(group, number, b"SQ", inside)


def lut(first: int, bits: int, *entries: int) -> bytes:
    head = element(0x28, 0x3002, b"US", words(len(entries), first, bits))
    return head + element(0x28, 0x3006, b"OW", words(*entries))


def with_sequences(data: bytes, *sequences: bytes) -> bytes:
    at = data.index(b"\xe0\x7f\x10\x00")
    return data[:at] + b"".join(sequences) + data[at:]


def test_modality_lut_then_voi_lut() -> None:
    """Stored 10, 11, 12 → 100, 200, 300 by the first, → 0, 85, 255 of 255 by the second; outside: its ends."""
    data = image(bytes([9, 10, 11, 12, 200]), 1, 5)
    data = with_sequences(data, sequence(0x28, 0x3000, lut(10, 16, 100, 200, 300)))
    assert shown(data) == [[0, 0, 128, 255, 255]]
    entries = [0] * 100 + [85] * 100 + [255]
    data = with_sequences(data, sequence(0x28, 0x3010, lut(100, 8, *entries)))
    assert shown(data) == [[0, 0, 85, 255, 255]]


def test_functional_groups_of_each_frame_and_shared_ones() -> None:
    """Frame 1 has a window of its own, frame 2 the shared one (PS3.3 §C.7.6.16)."""

    def macro(center: str, width: str) -> bytes:
        inside = element(0x28, 0x1050, b"DS", center) + element(0x28, 0x1051, b"DS", width)
        return sequence(0x28, 0x9132, inside)

    rescale = element(0x28, 0x1052, b"DS", "-100") + element(0x28, 0x1053, b"DS", "2")
    shared = sequence(0x5200, 0x9229, sequence(0x28, 0x9145, rescale) + macro("50.5", "101"))
    per_frame = sequence(0x5200, 0x9230, macro("0.5", "201"), b"")
    data = with_sequences(image(bytes([0, 50, 100] * 2), 1, 3, frames=2), shared, per_frame)
    assert shown(data, 0) == [[0, 128, 255]]  # -100, 0, 100 in -100 … 100
    assert shown(data, 1) == [[0, 0, 255]]  # the same in 0 … 100


def palette(bits: int, *colours: tuple[int, int, int]) -> list[Extra]:
    found: list[Extra] = []
    for channel in range(3):
        found.append((0x28, 0x1101 + channel, b"US", words(len(colours), 5, bits)))
        found.append((0x28, 0x1201 + channel, b"OW", words(*[colour[channel] for colour in colours])))
    return found


def test_palette_of_16_bits() -> None:
    extra = palette(16, (0x1234, 0, 0xFFFF), (0, 0x8000, 0))
    data = image(bytes([0, 5, 6, 9]), 1, 4, photometric="PALETTE COLOR", extra=extra)
    assert shown(data) == [[[0x12, 0, 0xFF], [0x12, 0, 0xFF], [0, 0x80, 0], [0, 0x80, 0]]]


def test_rgb_and_its_deeper_kind() -> None:
    assert shown(image(b"\1\2\3\4\5\6", 1, 2, photometric="RGB", planar=0)) == [[[1, 2, 3], [4, 5, 6]]]
    deep = image(words(0x1200, 0x3400, 0xFFFF), 1, 1, photometric="RGB", planar=0, bits=(16, 16, 15))
    assert shown(deep) == [[[0x12, 0x34, 0xFF]]]
    assert "cannot become JPEG" in refusal(deep, forms.JPEG, forms.JPEG_BASELINE)


def test_ybr_full_to_rgb() -> None:
    """PS3.3 §C.7.6.3.1.2 turned round: Y 76, Cb 85, Cr 255 is red, within rounding."""
    data = image(bytes([76, 85, 255, 255, 128, 128]), 1, 2, photometric="YBR_FULL", planar=0)
    (red, white) = shown(data)[0]
    assert np.abs(np.array(red) - [254, 0, 0]).max() <= 1
    assert white == [255, 255, 255]


def test_single_bits_are_black_and_white() -> None:
    assert shown(image(bytes([0b00000110]), 1, 4, bits=(1, 1, 0))) == [[0, 255, 255, 0]]


def test_jpeg_looks_like_the_png() -> None:
    ramp = bytes(range(0, 256, 4)) * 64
    (part,) = parts(image(ramp, 64, 64), forms.JPEG, forms.JPEG_BASELINE)
    picture = Image.open(BytesIO(part.data))
    assert (part.extension, picture.format, picture.mode, picture.size) == (".jpg", "JPEG", "L", (64, 64))
    difference = np.abs(np.asarray(picture).astype(int) - np.array(shown(image(ramp, 64, 64))))
    assert difference.max() <= 6


def wide_greys(**changes: Any) -> Grey:
    least, most = changes.pop("stored", (0, 2**32 - 1))
    return replace(Grey(1.0, 0.0, None, None, None, 0.0, "LINEAR", False, None, (least, most)), **changes)


def lut_item(first: int, *entries: int) -> Any:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, 16]
    item.LUTData = struct.pack(f"<{len(entries)}H", *entries)
    return item


WIDE = {
    "extremes": wide_greys(),
    "inverted": wide_greys(inverted=True),
    "padding": wide_greys(padding=(10, 500_000)),
    "sigmoid": wide_greys(center=2e9, width=1e9, function="SIGMOID"),
    "wide window": wide_greys(center=2e9, width=4e9),
    "rescaled": wide_greys(slope=1e-3, intercept=-5.0, stored=(-(2**31), 2**31 - 1)),
    "modality": wide_greys(modality_lut=lut_item(200, 1, 2, 3, 9)),
    "VOI": wide_greys(voi_lut=lut_item(200, 1, 2, 3, 9)),
}


@pytest.mark.parametrize("name", WIDE)
def test_blocks_make_no_difference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, grey = np.random.default_rng(8), WIDE[name]
    values = rng.integers(grey.stored[0], grey.stored[1], (37, 41), dtype=np.int64)
    values[:9] = rng.integers(0, 400, (9, 41))
    values = values.astype("<i4" if grey.stored[0] < 0 else "<u4")
    monkeypatch.setattr("gantry.dicom.rendering._LINE_BLOCK", 1 << 30)
    whole = render_grey(values, grey)
    monkeypatch.setattr("gantry.dicom.rendering._LINE_BLOCK", 64)
    assert render_grey(values, grey).tolist() == whole.tolist()


@pytest.mark.parametrize("name", WIDE)
def test_the_memory_of_a_wide_frame(name: str) -> None:
    """Numbers of 64 bits for all pixels would take eight times the room of the frame, which may have 150 MB."""
    grey = WIDE[name]
    values = np.arange(1 << 22, dtype="<u4" if not grey.stored[0] else "<i4").reshape(2048, 2048) * 1000
    tracemalloc.start()
    try:
        render_grey(values, grey)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * values.nbytes


def test_a_modality_table_for_32_bits_begins_where_it_says() -> None:
    """What is below its first value is that, and not what is above the last one."""
    grey = wide_greys(modality_lut=lut_item(200, 1, 2, 3, 9))
    values = np.array([[0, 199, 200, 203, 204, 2**31, 2**32 - 1]], "<u4")
    assert render_grey(values, grey).tolist() == [[0, 0, 0, 255, 255, 255, 255]]


def test_a_full_range_of_32_bits() -> None:
    data = image(struct.pack("<3I", 0, 2**31, 2**32 - 1), 1, 3, bits=(32, 32, 31))
    assert shown(data) == [[0, 128, 255]]


def test_far_from_zero_and_below_it() -> None:
    assert shown(image(words(50000, 50001, 50002), 1, 3, bits=(16, 16, 15))) == [[0, 128, 255]]
    assert shown(image(words(-3, -2, -1), 1, 3, bits=(16, 16, 15), signed=True)) == [[0, 128, 255]]
