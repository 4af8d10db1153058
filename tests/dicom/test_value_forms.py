"""The forms of text values: PS3.5 §6.2, Table 6.2-1. What is right and what is wrong is written by hand."""

from __future__ import annotations

import pytest

from gantry.dicom.value_forms import require_form, shorten_decimal

RIGHT = {
    "AE": ["STORESCP", "A b-c.d", "x" * 16, "~!", ""],
    "AS": ["018M", "000D", "999Y", "003W", ""],
    "CS": ["ORIGINAL", "CT", "A_B 1", "X" * 16, ""],
    "DA": ["19930822", "20240229", "00010101", "20241231", ""],
    "DS": ["1", "-1.5", "+2", ".5", "5.", "1e5", "1.5E-10", " 12.5 ", "1234567890123456", ""],
    "DT": ["2024", "202402", "20240229", "2024022913", "20240229135960.123456+0100", "2024-0500", "20240229 ", ""],
    "IS": ["0", "-12", "+7", " 42 ", "2147483647", "-2147483648", "000000000001", ""],
    "LO": ["x" * 64, "é" * 64, "Knee^left=right", "a\x1bb", ""],
    "LT": ["line\r\nline\ttab\f", "a\\b", "x" * 10240, ""],
    "PN": ["Doe^John", "=".join(["x" * 64] * 3), "山田^太郎", ""],
    "SH": ["x" * 16, "é" * 16, ""],
    "ST": ["x" * 1024, "a\r\nb\\c", ""],
    "TM": ["10", "1015", "101559", "101559.1", "235960.999999", "101559 ", ""],
    "UC": ["x" * 100_000, ""],
    "UI": ["1.2.840.10008.1.2", "1" * 64, "0", ""],
    "UR": ["http://example.org/a?b#c", "urn:x ", ""],
    "UT": ["a\\b\r\n" * 100_000, ""],
}
WRONG = {
    "AE": ["x" * 17, "a\\b", "é", "a\nb", "\x7f"],
    "AS": ["18M", "018X", "018m", "0018M", " 018M", "01 M"],
    "CS": ["ct", "A-B", "X" * 17, "É", "A\\B", "A.B"],
    "DA": ["19931322", "19930832", "19930800", "19930022", "1993", "1993.08.22", "19930822 ", "20240101-", "٢٠٢٤٠١٠١"],
    "DS": [" ", "1,5", "1.5.5", "e5", "1e", "--1", "1 2", "12345678901234567", "NaN", "inf", "0x1", "1_0", "+", ".",
           "٣"],
    "DT": ["202", "20241", "20241301", "2024022924", "202402291360", "20240229135961", "20240229135959.1234567",
           "2024+100", "2024Z", "20240229.5", "20240229T13",
           "20240229135960.123456+0100 "],
    "IS": [" ", "1.0", "1e3", "2147483648", "-2147483649",
           "0000000000001", "- 1", "+", "9999999999999", "1_0", "٣", "0x1"],
    "LO": ["x" * 65, "a\\b", "a\nb", "a\tb", "a\x00"],
    "LT": ["x" * 10241, "a\x00b", "a\x07b", "a\x0bb"],
    "PN": ["x" * 65, "a=" + "x" * 65, "=".join(["x" * 64] * 3) + "x", "a\\b", "a\nb"],
    "SH": ["x" * 17, "a\\b", "a\r"],
    "ST": ["x" * 1025, "\x01"],
    "TM": ["24", "1060", "101561", "10:15", "1015591", "101559.", "101559.1234567", "1", "101", "1015.5", " 10"],
    "UC": ["a\\b", "a\nb"],
    "UI": ["1..2", ".1", "1.", "1.2.x", "1" * 65, "1 2", "1.2\x00", "-1", "٣"],
    "UR": ["http://a b", " http://a", "é", "\n"],
    "UT": ["a\x00", "\x0e"],
}  # fmt: skip


def test_every_text_vr_of_the_standard_has_a_form() -> None:
    assert RIGHT.keys() == WRONG.keys()
    assert " ".join(sorted(RIGHT)) == "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT"


@pytest.mark.parametrize(("vr", "text"), [(vr, text) for vr, texts in RIGHT.items() for text in texts])
def test_right(vr: str, text: str) -> None:
    require_form(vr, text)


@pytest.mark.parametrize(("vr", "text"), [(vr, text) for vr, texts in WRONG.items() for text in texts])
def test_wrong(vr: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"as {vr} has to be") as caught:
        require_form(vr, text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        (100.0, "100.0"),
        (0.1 + 0.2, "0.30000000000000"),
        (1 / 3, "0.33333333333333"),
        (-1 / 3, "-0.3333333333333"),
        (1e300 / 3, "3.333333333e+299"),
        (-1e-300 / 3, "-3.33333333e-301"),
        (123456789012345678.0, "1.2345678901e+17"),
    ],
)
def test_a_number_in_16_characters_keeps_as_many_digits_as_fit(value: float, text: str) -> None:
    """PS3.5 §6.2: DS. Digits that are zero at the end may be left out."""
    found = shorten_decimal(value)
    assert len(found) <= 16
    assert float(found) == float(text)
    require_form("DS", found)
