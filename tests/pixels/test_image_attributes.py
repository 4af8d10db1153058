"""Attributes that describe pixels: read here where they are simple, else by pydicom, and always with its values."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gantry.dicom import forms, open_source, part10
from gantry.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, Encoding
from gantry.dicom.image_attributes import PICTURES, Attributes, read_simple_value
from gantry.dicom.open_source import open_source as open_pixels
from gantry.dicom.views import View, rendered
from gantry.errors import Internal, StatusError
from tests.pixels.instances import Extra, Opened, encapsulated, image
from tests.pixels.test_corpus import CORPUS, WHY, ok_files
from tests.support.dicom import element

TAGS = {"Rows": 0x280010, "PixelPaddingValue": 0x280120, "WindowCenter": 0x281050, "RescaleSlope": 0x281053}
TAGS |= {"NumberOfFrames": 0x280008, "PhotometricInterpretation": 0x280004, "VOILUTFunction": 0x281056}
VALUES = [
    *(("Rows", "US", value) for value in (b"\x00\x02", b"\xff\xff", b"", b"\1\0\2\0", b"\1\0\2")),
    *(("Rows", vr, b"12") for vr in ("SS", "UN", "OW", "IS", "DS", "CS", "LO")),
    *(("PixelPaddingValue", vr, b"\x30\xf8") for vr in ("US", "SS", "UN")),
    *(("NumberOfFrames", "IS", value) for value in (b"1 ", b" 12", b"+3", b"-3", b"", b" ", b"1\\2", b"1.0", b"x ")),
    *(("NumberOfFrames", "IS", value) for value in (b"12345678901 ", b"1\0", b"0x", b"1_0 ", b"\t1")),
    *(("WindowCenter", "DS", value) for value in (b"40", b" 40.5 ", b"-1024 ", b"+.5 ", b"5. ", b"1e3 ", b"40\\80 ")),
    *(("WindowCenter", "DS", value) for value in (b"", b"  ", b"40\\", b"\\40", b"inf ", b"1_0 ", b"4 0", b"a ")),
    *(
        ("RescaleSlope", "DS", value)
        for value in (b"1", b"0.1234567890123456789", b"1\0", b"1.5\\x", b"\xb2 ", b"1,5 ")
    ),
    *(
        ("PhotometricInterpretation", "CS", value)
        for value in (b"MONOCHROME2 ", b"rgb ", b" RGB", b"A\\B ", b"", b"  ")
    ),
    *(("VOILUTFunction", "CS", value) for value in (b"LINEAR_EXACT", b"SIGMOID\0", b"\xe9\xe9", b"a\0b ", b"a\tb ")),
]


def pieces(keyword: str, vr: str, value: bytes, explicit: bool) -> dict[int, bytes]:
    tag = TAGS[keyword]
    return {tag: element(tag >> 16, tag & 0xFFFF, vr.encode(), value, explicit)}


def outcome(call: Any) -> Any:
    try:
        value = call()
    except Exception as error:
        return type(error)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value


@pytest.mark.parametrize("encoding", [EXPLICIT_LE, IMPLICIT_LE], ids=["explicit", "implicit"])
@pytest.mark.parametrize(("keyword", "vr", "value"), VALUES)
def test_a_value_is_the_one_that_pydicom_reads(keyword: str, vr: str, value: bytes, encoding: Encoding) -> None:
    found = Attributes(pieces(keyword, vr, value, encoding.explicit), encoding)
    theirs = Attributes(pieces(keyword, vr, value, encoding.explicit), encoding)._dataset
    ours, wanted = outcome(lambda: found.get(keyword, "absent")), outcome(lambda: theirs.get(keyword, "absent"))
    assert ours == wanted
    assert isinstance(ours, type(wanted)) or isinstance(wanted, type(ours))


def test_the_values_of_nearly_all_images_need_no_library() -> None:
    assert read_simple_value("US", b"\x00\x02") == 512
    assert read_simple_value("SS", b"\x30\xf8") == -2000
    assert read_simple_value("IS", b"12") == 12
    assert read_simple_value("CS", b"MONOCHROME2 ") == "MONOCHROME2"
    assert read_simple_value("DS", b"-1024 ") == -1024.0
    assert read_simple_value("DS", b"40\\300 ") == [40.0, 300.0]


def test_an_attribute_that_nobody_looked_for_is_not_said_to_be_absent() -> None:
    found = Attributes({}, EXPLICIT_LE, PICTURES.tags)
    assert found.get("WindowCenter") is None and "WindowCenter" not in found
    for call in (lambda: found.get("PatientName"), lambda: "PatientName" in found, lambda: found.get(0x00100010)):
        with pytest.raises(Internal, match="0010,0010"):
            call()


# --- one pass over the file, or the whole header: the same pictures

RAMP = np.arange(4096, dtype="<u2").reshape(64, 64)
LUT = [(0x28, 0x3002, b"US", struct.pack("<3H", 256, 900, 8)), (0x28, 0x3006, b"OW", bytes(range(256)) * 2)]
LONG = b"\\".join([b"%d" % number for number in range(1000, 1200)])


def item(*elements: Extra, explicit: bool = True) -> bytes:
    inside = b"".join(element(*each, explicit) for each in elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside


def open_end(group: int, number: int, items: bytes) -> bytes:
    head = struct.pack("<HH2s2xI", group, number, b"SQ", 0xFFFFFFFF)
    return head + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def without_vr(group: int, number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


WINDOW: list[Extra] = [(0x28, 0x1050, b"DS", "1000"), (0x28, 0x1051, b"DS", "400")]
EXACT: Extra = (0x28, 0x1056, b"CS", "LINEAR_EXACT")
HEADERS: dict[str, tuple[Sequence[Extra], bytes]] = {
    "none": ((), b""),
    "window": (WINDOW, b""),
    "rescaled": ([*WINDOW, (0x28, 0x1052, b"DS", "-1024"), (0x28, 0x1053, b"DS", "2.5"), EXACT], b""),
    "two windows": ([(0x28, 0x1050, b"DS", "1000\\40"), (0x28, 0x1051, b"DS", "400\\80")], b""),
    "many windows": ([(0x28, 0x1050, b"DS", LONG.decode()), (0x28, 0x1051, b"DS", "400")], b""),
    "inverse": ([(0x2050, 0x20, b"CS", "INVERSE")], b""),
    "padding": ([(0x28, 0x120, b"US", b"\x10\0"), (0x28, 0x121, b"US", b"\x80\0")], b""),
    "voi lut": ([(0x28, 0x3010, b"SQ", item(*LUT))], b""),
    "short voi lut": ([(0x28, 0x3010, b"SQ", item(LUT[0], (0x28, 0x3006, b"OW", bytes(range(256))[:160])))], b""),
    "voi lut without an end": ((), open_end(0x28, 0x3010, item(*LUT))),
    "modality lut": ([(0x28, 0x3000, b"SQ", item(*LUT))], b""),
    "shared groups": ((), open_end(0x5200, 0x9229, item((0x28, 0x9132, b"SQ", item(*WINDOW))))),
    "groups of a frame": ([(0x5200, 0x9230, b"SQ", item((0x28, 0x9132, b"SQ", item(*WINDOW))))], b""),
    "no vr": ((), without_vr(0x28, 0x1050, b"1000") + without_vr(0x28, 0x1051, b"400 ")),
    "un": ([(0x28, 0x1050, b"UN", b"1000"), (0x28, 0x1051, b"UN", b"400 ")], b""),
    "twice": ([*WINDOW], element(0x28, 0x1050, b"DS", "9")),
    "out of order": ((), element(0x2050, 0x20, b"CS", "INVERSE") + element(0x28, 0x1050, b"DS", "900")),
    "no whole number": ([(0x28, 0x120, b"US", b"\x10\0\0")], b""),
    "no number": ([(0x28, 0x1053, b"DS", "one")], b""),
}


def pictures(data: bytes, window: tuple[float, float, str] | None = None) -> list[bytes] | str:
    """Or the refusal."""
    try:
        return list(rendered(Opened(data), View("image/png", window=window), None, lambda: None))
    except StatusError as error:
        return error.message


def read_by_whole_header(data: bytes, patch: pytest.MonkeyPatch) -> list[bytes] | str:
    with patch.context() as inside:
        inside.setattr(open_source, "read_watched", lambda read_at, size, _: (part10.read_header(read_at, size), None))
        return pictures(data)


@pytest.mark.parametrize("syntax", [forms.EXPLICIT_LE, forms.IMPLICIT_LE], ids=["explicit", "implicit"])
@pytest.mark.parametrize("name", HEADERS)
def test_one_pass_gives_what_the_whole_header_gives(name: str, syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra, more = HEADERS[name]
    data = image(RAMP.tobytes(), 64, 64, bits=(16, 12, 11), extra=extra, syntax=syntax)
    if syntax == forms.EXPLICIT_LE:
        at = data.index(b"\xe0\x7f\x10\x00")
        data = data[:at] + more + data[at:]
    assert pictures(data) == read_by_whole_header(data, monkeypatch)


def test_a_palette_of_any_length_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (4, 256):
        tables = [(0x28, 0x1201 + channel, b"OW", bytes(range(256))[::-1][: 2 * count] * 2) for channel in range(3)]
        heads = [(0x28, 0x1101 + channel, b"US", struct.pack("<3H", count, 0, 16)) for channel in range(3)]
        data = image(bytes(range(16)), 4, 4, photometric="PALETTE COLOR", extra=[*heads, *tables])
        found = pictures(data)
        assert isinstance(found, list) and found == read_by_whole_header(data, monkeypatch)


def test_pixel_data_is_found_where_it_lies() -> None:
    native = open_pixels(Opened(image(RAMP.tobytes(), 64, 64, bits=(16, 12, 11)))).pixels
    assert native is not None and not native.undefined_length
    assert bytes(native.value[0 : len(native.value)]) == RAMP.tobytes()
    fragments = encapsulated([b"\xff\xd8\xff\xd9"])
    enclosed = open_pixels(Opened(image([b"\xff\xd8\xff\xd9"], 1, 1, syntax=forms.JPEG_BASELINE))).pixels
    assert enclosed is not None and enclosed.undefined_length
    assert bytes(enclosed.value[0 : len(enclosed.value)]) == fragments[12:-8]


def test_the_header_of_a_plain_image_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_source, "read_header_bytes", None)
    data = image(RAMP.tobytes(), 64, 64, bits=(16, 12, 11), extra=WINDOW)
    assert len(pictures(data)) == 1


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason=WHY)
def test_one_pass_gives_what_the_whole_header_gives_for_real_files(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    for name in ok_files():
        data = Path(CORPUS, "data", name).read_bytes()
        if len(data) < 700_000:
            compared += 1
            assert pictures(data) == read_by_whole_header(data, monkeypatch), name
    assert compared > 50


# --- pictures of more pixels than are painted at a time


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_every_grey_is_the_one_of_the_line(photometric: str, signed: bool) -> None:
    """As 32-bit floats, product first: the last block is shorter than the others."""
    values = np.random.default_rng(3).integers(0, 4096, (401, 907)).astype("<u2")
    cells = values.view("<i2") - np.int16(2048) if signed else values
    data = image(cells.tobytes(), 401, 907, bits=(16, 12, 11), signed=signed, photometric=photometric, extra=WINDOW)
    (shown,) = pictures(data)
    factor, offset = 255 / 399, (0 - (1000 - 0.5 - 399 / 2)) * 255 / 399
    if photometric == "MONOCHROME1":
        factor, offset = -factor, 255 - offset
    line = cells.astype(np.float32) * np.float32(factor) + np.float32(offset + 0.5)
    wanted = np.clip(line, 0, 255).astype(np.uint8)
    assert isinstance(shown, bytes)
    assert np.array_equal(np.asarray(Image.open(BytesIO(shown))), wanted)
