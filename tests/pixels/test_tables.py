"""Signs of the first value of tables and palettes, and tables that make no sense (PS3.3 §C.7.6.3.1.5, §C.11)."""

from __future__ import annotations

import struct
import time
import tracemalloc
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gantry.dicom import forms
from tests.pixels.instances import Extra, image, parts, refusal
from tests.support.dicom import element


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *[value & 0xFFFF for value in values])


def shown(data: bytes) -> list[Any]:
    return np.asarray(Image.open(BytesIO(parts(data, forms.PNG)[0].data))).tolist()  # type: ignore[no-any-return]


def lut_item(first: int, entries: tuple[int, ...], vr: bytes) -> bytes:
    return element(0x28, 0x3002, vr, words(len(entries), first, 8)) + element(0x28, 0x3006, b"OW", words(*entries))


def with_items(data: bytes, number: int, *items: bytes) -> bytes:
    inside = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    at = data.index(b"\xe0\x7f\x10\x00")
    return data[:at] + element(0x28, number, b"SQ", inside) + data[at:]


@pytest.mark.parametrize("vr", [b"US", b"SS"])
class TestFirstValues:
    """16 bits; whether they have a sign follows from the values that come in, not from their VR."""

    def test_over_unsigned_values(self, vr: bytes) -> None:
        data = image(words(39999, 40000, 40001, 40002), 1, 4, bits=(16, 16, 15))
        assert shown(with_items(data, 0x3010, lut_item(40000, (10, 90, 200), vr))) == [[10, 10, 90, 200]]

    def test_over_signed_values(self, vr: bytes) -> None:
        data = image(words(-129, -128, -127, 5), 1, 4, bits=(16, 16, 15), signed=True)
        assert shown(with_items(data, 0x3010, lut_item(-128, (10, 90, 200), vr))) == [[10, 10, 90, 200]]

    def test_over_values_that_a_rescale_may_make_negative(self, vr: bytes) -> None:
        """By what the stored bits can hold, and not by what this frame holds."""
        rescale: tuple[Extra, ...] = ((0x28, 0x1052, b"DS", "-1024"), (0x28, 0x1053, b"DS", "1"))
        data = image(words(2000, 2001), 1, 2, bits=(16, 12, 11), extra=rescale)
        assert shown(with_items(data, 0x3010, lut_item(-1000, (10, 90), vr))) == [[90, 90]]

    def test_of_a_modality_table(self, vr: bytes) -> None:
        data = image(words(39999, 40000, 40001, 40002), 1, 4, bits=(16, 16, 15))
        assert shown(with_items(data, 0x3000, lut_item(40000, (10, 20, 30), vr))) == [[0, 0, 128, 255]]

    def test_of_a_palette_over_signed_pixels(self, vr: bytes) -> None:
        data = image(
            bytes([0x80, 0x81, 0xFF, 0]), 1, 4, photometric="PALETTE COLOR", signed=True,
            extra=palette(vr, first=-128, entries=tuple(range(128))),
        )  # fmt: skip
        assert shown(data) == [[[0] * 3, [1] * 3, [127] * 3, [127] * 3]]

    def test_of_a_palette_over_unsigned_pixels(self, vr: bytes) -> None:
        data = image(
            words(40000, 40001, 3), 1, 3, photometric="PALETTE COLOR", bits=(16, 16, 15),
            extra=palette(vr, first=40000, entries=(9, 8)),
        )  # fmt: skip
        assert shown(data) == [[[9] * 3, [8] * 3, [9] * 3]]


def palette(vr: bytes = b"US", first: int = 0, entries: tuple[int, ...] = (), bits: int = 8) -> list[Extra]:
    found: list[Extra] = []
    for channel in range(3):
        found.append((0x28, 0x1101 + channel, vr, words(len(entries), first, bits)))
        found.append((0x28, 0x1201 + channel, b"OW", words(*entries)))
    return found


WINDOW: tuple[Extra, ...] = ((0x28, 0x1050, b"DS", "2"), (0x28, 0x1051, b"DS", "4"))
HEAD = element(0x28, 0x3002, b"US", words(2, 0, 8))


@pytest.mark.parametrize(
    "item", [b"", HEAD, element(0x28, 0x3006, b"OW", words(1, 2)), HEAD + element(0x28, 0x3006, b"OW", b"")]
)
@pytest.mark.parametrize("extra", [(), WINDOW])
def test_a_voi_table_without_data_gives_way_to_the_window(item: bytes, extra: tuple[Extra, ...]) -> None:
    plain = image(words(0, 1, 2, 3, 500), 1, 5, bits=(16, 16, 15), extra=extra)
    assert shown(with_items(plain, 0x3010, item)) == shown(plain)


def test_the_first_usable_table_is_used() -> None:
    data = image(words(0, 1), 1, 2, bits=(16, 16, 15))
    assert shown(with_items(data, 0x3010, HEAD, lut_item(0, (10, 90), b"US"))) == [[10, 90]]


def test_a_modality_table_without_data_is_refused() -> None:
    """Without it the values mean something else."""
    data = image(words(0, 1), 1, 2, bits=(16, 16, 15), extra=WINDOW)
    assert "look-up table has no" in refusal(with_items(data, 0x3000, HEAD), forms.PNG)


class TestPalettes:
    @pytest.mark.parametrize("bits", [0, 1, 7, 12, 32, 65535])
    def test_bits_that_make_no_sense(self, bits: int) -> None:
        data = image(b"\0\1", 1, 2, photometric="PALETTE COLOR", extra=palette(entries=(1, 2), bits=bits))
        told = refusal(data, forms.PNG)
        assert told == f"RedPaletteColorLookupTableDescriptor has {bits} bits for an entry; there can be 8 or 16"

    def test_a_count_beyond_the_data_takes_the_entries_there_are(self) -> None:
        extra = palette(entries=(1, 2), bits=16)
        extra[0] = (0x28, 0x1101, b"US", words(0, 0, 16))
        assert shown(image(b"\0\1\7", 1, 3, photometric="PALETTE COLOR", extra=extra)) == [[[1] * 3, [2] * 3, [2] * 3]]

    @pytest.mark.parametrize("left_out", range(6))
    def test_without_a_part_it_is_refused_in_own_words(self, left_out: int) -> None:
        extra = palette(entries=(1, 2))
        told = refusal(
            image(b"\0\1", 1, 2, photometric="PALETTE COLOR", extra=extra[:left_out] + extra[left_out + 1 :]), forms.PNG
        )
        assert told.startswith("PALETTE COLOR without ") and "PaletteColorLookupTable" in told

    def test_entries_of_16_bits_are_shown_by_their_high_byte_also_where_a_frame_is_dark(self) -> None:
        """The table decides how deep it is, and not what a frame shows of it."""
        extra = palette(entries=(0x0012, 0xFFFF), bits=16)
        assert shown(image(b"\0\0", 1, 2, photometric="PALETTE COLOR", extra=extra)) == [[[0] * 3, [0] * 3]]

    def test_two_entries_of_8_bits_in_a_word(self) -> None:
        extra: list[Extra] = []
        for channel in range(3):
            extra.append((0x28, 0x1101 + channel, b"US", words(3, 0, 8)))
            extra.append((0x28, 0x1201 + channel, b"OW", bytes([5, 6, 7, 0])))
        data = image(b"\0\1\2\3", 1, 4, photometric="PALETTE COLOR", extra=extra)
        assert shown(data) == [[[5] * 3, [6] * 3, [7] * 3, [7] * 3]]


def segmented(segments: bytes, count: int, bits: int) -> bytes:
    extra: list[Extra] = []
    for channel in range(3):
        extra.append((0x28, 0x1101 + channel, b"US", words(count, 0, bits)))
        extra.append((0x28, 0x1221 + channel, b"OW", segments))
    return image(bytes(range(12)), 1, 12, photometric="PALETTE COLOR", extra=extra)


class TestSegmentedPalettes:
    def test_discrete_linear_and_indirect_segments(self) -> None:
        """PS3.3 §C.7.9.2: 10 20; four steps up to 60; then the first segment again, and the line from 20 again."""
        expected = [10, 20, 30, 40, 50, 60, 10, 20, 30, 40, 50, 60]
        eight = bytes([0, 2, 10, 20, 1, 4, 60, 2, 2, 0, 0, 0, 0, 0])
        sixteen = words(0, 2, 10 << 8, 20 << 8, 1, 4, 60 << 8, 2, 2, 0, 0)
        for segments, bits in ((eight, 8), (sixteen, 16)):
            assert [colour[0] for colour in shown(segmented(segments, 12, bits))[0]] == expected

    def test_an_indirect_segment_points_by_bytes(self) -> None:
        segments = words(0, 1, 0, 0, 2, 1 << 8, 2 << 8, 2, 1, 6, 0)
        assert [colour[0] for colour in shown(segmented(segments, 5, 16))[0][:5]] == [0, 1, 2, 1, 2]

    @pytest.mark.parametrize(
        "segments", [words(1, 5, 9), words(2, 1, 0, 0), words(7, 1, 1), words(0, 1, 5, 2, 65535, 0, 0), words(0, 0)]
    )
    def test_segments_that_make_no_sense(self, segments: bytes) -> None:
        told = refusal(segmented(segments, 0, 16), forms.PNG)
        assert "segment" in told or "empty" in told

    @pytest.mark.parametrize("hollow", [words(1, 0, 5), words(2, 0, 0, 0), words(2, 9, 0xFFFF, 0xFFFF)])
    def test_segments_that_add_nothing_do_not_multiply(self, hollow: bytes) -> None:
        """Indirect segments that point at each other could go on for ever."""
        bomb = words(0, 1, 5) + words(2, 60000, 6, 0) * 4000 + hollow * 4000
        begun = time.process_time()
        assert "segment" in refusal(segmented(bomb, 0, 16), forms.PNG)
        assert time.process_time() - begun < 5

    def test_no_more_is_made_than_the_descriptor_has(self) -> None:
        bomb = words(0, 1, 5) + words(1, 65535, 9, 1, 65535, 5) * 5000
        data = segmented(bomb, 300, 16)
        tracemalloc.start()
        try:
            assert shown(data)[0][0] == [5] * 3
            assert tracemalloc.get_traced_memory()[1] < 20 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("value", [b"\1", b"\1\0\2"])
@pytest.mark.parametrize("others", [(), ((0x28, 0x0120, b"US", words(500)),)])
def test_padding_values_of_no_whole_number_count_as_none(others: tuple[Extra, ...], value: bytes) -> None:
    """PixelPaddingValue, or PixelPaddingRangeLimit where that is there."""
    extra = (*WINDOW, *others)
    plain = image(words(0, 1, 2, 3, 500), 1, 5, bits=(16, 16, 15), extra=extra)
    extra = (*extra, (0x28, 0x0120 + len(others), b"US", value))
    assert shown(image(words(0, 1, 2, 3, 500), 1, 5, bits=(16, 16, 15), extra=extra)) == shown(plain)


@pytest.mark.parametrize("item", [element(0x28, 0x3002, b"US", b"\1"), HEAD + element(0x28, 0x3006, b"US", b"\1\0\2")])
def test_a_voi_table_of_no_whole_numbers_gives_way_to_the_window(item: bytes) -> None:
    plain = image(words(0, 1, 2, 3, 500), 1, 5, bits=(16, 16, 15), extra=WINDOW)
    assert shown(with_items(plain, 0x3010, item)) == shown(plain)


def test_a_palette_of_no_whole_numbers_is_refused_by_its_name() -> None:
    extra = [each if each[1] != 0x1102 else (0x28, 0x1102, b"US", b"\1\0\2") for each in palette(entries=(1, 2))]
    data = image(bytes([0, 1]), 1, 2, photometric="PALETTE COLOR", extra=extra)
    assert "GreenPaletteColorLookupTableDescriptor" in refusal(data, forms.PNG)
