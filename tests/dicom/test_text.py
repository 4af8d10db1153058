"""Text of DICOM: the standard's own examples, names of all scripts, and bytes that are no text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scripts import SCRIPTS, Script

from gantry.dicom.character_sets import repertoire
from gantry.dicom.text import decoders, encode, split_names, split_values

JAPANESE, ALL_JAPANESE = "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159"
KOREAN, CHINESE = "\\ISO 2022 IR 149", "\\ISO 2022 IR 58"
NAMES_OF_EACH = 10_000


def text_of(value: bytes, character_set: str) -> str:
    return decoders(character_set)[0](value)


def name_of(value: bytes, character_set: str) -> str:
    return decoders(character_set)[1](value)


# The examples of the standard ----------------------------------------------------------------------------------------

EXAMPLES = {
    "PS3.5 §H.3.1": (
        JAPANESE,
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "PS3.5 §H.3.2": (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "PS3.5 §I.2": (
        KOREAN,
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "PS3.5 §J.1": (
        "ISO_IR 192",
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
        "Wang^XiaoDong=王^小東",
    ),
    "PS3.5 §J.3": ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
    "PS3.5 §K.2": (
        CHINESE,
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
        "Zhang^XiaoDong=张^小东",
    ),
    "French": ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    "German": ("ISO_IR 100", b"\xc4neas^R\xfcdiger", "Äneas^Rüdiger"),
    "Greek": ("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    "Russian": ("ISO_IR 144", b"\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"),
    "Arabic": ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
    "Hebrew": ("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
    "Thai": ("ISO_IR 166", b"\xca\xc1\xaa\xd2\xc2", "สมชาย"),
    "Latin-9": ("ISO_IR 203", b"\xbcuvre\xa4", "Œuvre€"),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_names_of_the_standard_are_read(example: str) -> None:
    character_set, value, name = EXAMPLES[example]
    assert name_of(value, character_set) == name
    assert split_names(value, character_set) == [name.split("=")]
    assert split_names(value + b"\\" + value + b" ", character_set) == [name.split("="), name.split("=")]


@pytest.mark.parametrize("example", EXAMPLES)
def test_names_of_the_standard_are_written_as_it_does(example: str) -> None:
    character_set, value, name = EXAMPLES[example]
    assert encode(name, character_set) == value


TEXTS = {
    "PS3.5 §I.3": (
        KOREAN,
        b"\x1b$)CThe 1st line includes \xb1\xe6\xb5\xbf.\r\n"
        b"\x1b$)CThe 2nd line includes \xb1\xe6\xb5\xbf, too.\r\nThe 3rd line.",
        "The 1st line includes 길동.\r\nThe 2nd line includes 길동, too.\r\nThe 3rd line.",
    ),
    "PS3.5 §J.2": (
        "ISO_IR 192",
        b"The first line includes \xe4\xb8\xad\xe6\x96\x87.\r\n"
        b"The second line includes \xe4\xb8\xad\xe6\x96\x87, too.\r\n",
        "The first line includes 中文.\r\nThe second line includes 中文, too.\r\n",
    ),
    "PS3.5 §J.4": (
        "GB18030",
        b"The first line includes \xd6\xd0\xce\xc4.\r\nThe second line includes \xd6\xd0\xce\xc4, too.\r\n",
        "The first line includes 中文.\r\nThe second line includes 中文, too.\r\n",
    ),
    "PS3.5 §K.3": (
        CHINESE,
        b"1. \x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n"
        b"2. \x1b$)A\xb5\xda\xb6\xfe\xd0\xd0\xce\xc4\xd7\xd6"
        b"\xa1\xa3\r\n3. \x1b$)A\xb5\xda\xc8\xfd\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n",
        "1. 第一行文字。\r\n2. 第二行文字。\r\n3. 第三行文字。\r\n",
    ),
}


@pytest.mark.parametrize("example", TEXTS)
def test_texts_of_the_standard(example: str) -> None:
    character_set, value, text = TEXTS[example]
    assert text_of(value, character_set) == text
    assert text_of(encode(text, character_set), character_set) == text


# Names of all scripts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_names_are_read_and_come_back_as_they_were_written(script: Script) -> None:
    random = Random(script.character_set)
    character_set = script.character_set
    for _ in range(NAMES_OF_EACH):
        name = script.name(random)
        value = script.bytes_of(name)
        groups = name.split("=")
        assert split_names(value, character_set) == [groups], value
        written = encode(name, character_set)
        assert split_names(written, character_set) == [groups], written


@pytest.mark.parametrize("kanji", "出春秋順純")
@pytest.mark.parametrize("end", [b"\x1b(B", b"", b"\x1b(B ", b"  ", b"\0"])
def test_bytes_of_kanji_are_no_delimiters(kanji: str, end: bytes) -> None:
    """PS3.5 §6.1.2.5.3: = is 0x3D only where ASCII is in G0; each of these has that byte."""
    code = kanji.encode("iso2022_jp")[3:5]
    assert b"=" in code
    found = split_names(b"A^B=\x1b$B" + code + b"\x1b(B^\x1b$B" + code + end, JAPANESE)
    assert found == [["A^B", f"{kanji}^{kanji}"]]


@pytest.mark.parametrize("second", [0x3D, 0x5C, 0x5E])
def test_kanji_with_the_byte_of_any_delimiter(second: int) -> None:
    for escape in (b"\x1b$B", b"\x1b$(D"):
        for first in range(0x30, 0x6E):
            for code in (bytes((first, second)), bytes((second, first))):
                letter = (escape + code).decode("iso2022_jp_1", "ignore") or "\ufffd"
                value = b"x\\" + escape + code + b"\x1b(B\\y"
                assert split_values(value, ALL_JAPANESE) == ["x", letter, "y"]
                assert split_names(value, ALL_JAPANESE) == [["x"], [letter], ["y"]]


@pytest.mark.parametrize("character_set, codec", [("GBK", "gbk"), ("GB18030", "gb18030")])
def test_second_bytes_of_gbk_are_no_delimiters(character_set: str, codec: str) -> None:
    for first in range(0x81, 0xFE):
        for second in b"\\^|":
            letter = bytes((first, second)).decode(codec, "ignore")
            if not letter.isascii():
                value = b"x\\" + bytes((first, second)) + b"=y"
                assert split_names(value, character_set) == [["x"], [letter, "y"]]
                assert split_values(value, character_set) == ["x", letter + "=y"]


def test_values_are_split_at_backslashes_beside_katakana() -> None:
    """0x5C is ¥ in JIS X 0201 (PS3.5 §6.1.2.5.3), and a delimiter all the same."""
    assert split_values(b"\xd4\xcf\\\xc0\xde~", "ISO_IR 13") == ["ﾔﾏ", "ﾀﾞ~"]
    assert split_values(b"\x83\\\xfc", "ISO_IR 13") == ["\ufffd", "\ufffd"], "Shift_JIS has a kanji there"


def test_no_pair_of_bytes_reads_as_a_delimiter() -> None:
    """So a delimiter in the text was one in the bytes."""
    sets = (b"$B", 0, JAPANESE), (b"$(D", 0, ALL_JAPANESE), (b"$)C", 0x80, KOREAN), (b"$)A", 0x80, CHINESE)
    for escape, high, character_set in sets:
        for first in range(0x21, 0x7F):
            for second in range(0x21, 0x7F):
                value = b"\x1b" + escape + bytes((first | high, second | high)) + b"\x1b(B="
                text = text_of(value, character_set)
                assert len(text) == 2 and text[1] == "=" and text[0] not in "\\^=", value


# Where sets begin and end --------------------------------------------------------------------------------------------

MANY = "ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 203\\ISO 2022 IR 87\\ISO 2022 IR 149"


@pytest.mark.parametrize("delimiter", ["\r", "\n", "\f", "\t", "\\"])
def test_delimiters_of_text_lead_back_to_the_first_set(delimiter: str) -> None:
    value = b"\x1b-F\xe1" + delimiter.encode() + b"\xe1"
    assert split_values(value, MANY) == f"α{delimiter}á".split("\\")
    assert text_of(value, MANY) == ("α\\α" if delimiter == "\\" else f"α{delimiter}á")
    assert split_values(b"\x1b$B;3" + delimiter.encode() + b"\xe1", MANY) == f"山{delimiter}á".split("\\")


@pytest.mark.parametrize("delimiter", "^=\\\r\n")
def test_delimiters_of_names_lead_back_to_the_first_set(delimiter: str) -> None:
    assert name_of(b"\x1b-F\xe1" + delimiter.encode() + b"\xe1", MANY) == f"α{delimiter}á"
    assert name_of(b"\x1b$)C\xb0\xa1a" + delimiter.encode() + b"\xe1", MANY) == f"가a{delimiter}á"


def test_components_of_names_are_no_delimiters_of_text() -> None:
    assert text_of(b"\x1b-F\xe1^\xe1=\xe1", MANY) == "α^α=α"


def test_a_set_in_g1_outlives_kanji_in_g0() -> None:
    """ISO/IEC 2022: they are designated apart."""
    assert text_of(b"\x1b-F\xe1\x1b$B;3 \xe1\x1b(B\xe1", MANY) == "α山 αα"


@pytest.mark.parametrize("value", [b"\x1b$B;3ED", b"\x1b$B;3ED  ", b"\x1b$B;3ED\0", b"\x1b$B;3ED\x1b(B "])
def test_values_that_end_or_are_padded_among_kanji(value: bytes) -> None:
    """PS3.5 §6.1.2.5"""
    assert text_of(value, JAPANESE) == "山田"
    assert split_names(value, JAPANESE) == [["山田"]]
    assert [each.strip() for each in split_values(b"x\\" + value, JAPANESE)] == ["x", "山田"]


@pytest.mark.parametrize("delimiter", "^=\\")
def test_a_delimiter_right_after_kanji_counts(delimiter: str) -> None:
    """Some devices forget the escape sequence before it."""
    name = b"\x1b$B;3ED" + delimiter.encode() + b"\x1b$BB@O:\x1b(B"
    assert name_of(name, JAPANESE) == f"山田{delimiter}太郎"


@pytest.mark.parametrize(
    "value, text, character_set",
    [
        (b"\x1b$B;3\x7e\x7eED\x1b(Bx", "山\ufffd田x", JAPANESE),
        (b"\x1b$B;3\x7e\x7eED\x1b(Bx \xe9", "山\ufffd田x é", JAPANESE),
        (b"\x1b$(D\x21\x21\x30\x21\x1b(Bx", "\ufffd丂x", ALL_JAPANESE),
        (b"\x1b$)C\xfe\xfe\xb0\xa1x", "\ufffd가x", KOREAN),
        (b"\x1b$)A\xfe\xfe\xb0\xa1x", "\ufffd啊x", CHINESE),
        (b"\x1b$)A\xb0x\xb0\xa1", "\ufffdx啊", CHINESE),
        (b"\x1b$)C\xb0\x1b$)C\xa1x", "\ufffd\ufffdx", KOREAN),
        (b"\xa2\xab\xb0\xa1x", "\ufffd啊x", "GBK"),
        (b"\x84\x31\xa5\x30x", "\ufffdx", "GB18030"),
        (b"a\xffb", "a\ufffdb", "ISO_IR 192"),
        (b"a\xa5b", "a\ufffdb", "ISO_IR 127"),
        (b"\xe0\xd4", "\ufffdﾔ", "ISO_IR 13"),
        (b"a\x1b%Gb", "a\ufffd%Gb", JAPANESE),
        (b"\x1b$B;3E", "山\ufffd", JAPANESE),
    ],
)
def test_what_is_no_character_is_marked_once_and_the_rest_is_right(value: bytes, text: str, character_set: str) -> None:
    assert text_of(value, character_set) == text
    assert name_of(value, character_set) == text


ESCAPES = {
    b"-A": "¡é", b"-B": "Ąé", b"-C": "Ħé", b"-D": "Ąé", b"-L": "Ёщ", b"-G": "\ufffdى", b"-F": "‘ι", b"-H": "\ufffdי",
    b"-M": "¡é", b"-T": "ก้", b"-b": "¡é", b")I": "｡\ufffd",
}  # fmt: skip


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("character_set", ["", "ISO_IR 100", JAPANESE])
def test_sets_are_known_by_their_escape_sequences(escape: bytes, character_set: str) -> None:
    """PS3.3 Table C.12-3, named or not by SpecificCharacterSet."""
    assert text_of(b"\x1b" + escape + b"\xa1\xe9", character_set) == ESCAPES[escape]


def test_latin_9_by_escape_sequence() -> None:
    assert text_of(b"\x1b-b\xbcuvre\xa4 \xa4", "ISO 2022 IR 100\\ISO 2022 IR 203") == "Œuvre€ €"


# SpecificCharacterSet as files have it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "term",
    [
        *("ISO_IR 144", "ISO-IR 144", "ISO IR 144", "ISO_IR_144", "iso_ir 144", "ISO_IR144", "ISO 2022 IR 144"),
        *("ISO2022 IR 144", "ISO_2022_IR_144", "ISO 2022-IR-144", " ISO_IR 144 ", "ISO_IR 144\0", "ISO-8859-5"),
    ],
)
def test_spellings_of_terms(term: str) -> None:
    assert text_of(b"\xbb\xee\xda", term) == "Люк"
    assert text_of(b"\xbb\xee\xda\x1b$B;3\x1b(B", "\\" + term + "\\ISO2022_IR 87")[-1] == "山"


@pytest.mark.parametrize("term", ["ISO_IR 192", "iso_ir 192", "UTF-8", "utf8", "ISO IR 192", "ISO 2022 IR 192"])
@pytest.mark.parametrize("more", ["", "\\ISO 2022 IR 87"])
def test_utf_8_takes_no_other_sets(term: str, more: str) -> None:
    """PS3.3 §C.12.1.1.2"""
    assert text_of("Ñ山".encode(), term + more) == "Ñ山"


@pytest.mark.parametrize("term", ["", "ISO_IR 6", "ISO_IR 999", "nonsense", "idna", "utf_16", "punycode"])
def test_terms_that_nobody_knows_are_read_as_latin_1(term: str) -> None:
    assert text_of(b"M\xfcller", term) == "Müller"
    assert text_of(b"M\xfcller \x1b$B;3\x1b(B", term + "\\ISO_IR 192\\nonsense\\ISO 2022 IR 87") == "Müller 山"


def test_korean_and_chinese_in_the_first_place() -> None:
    assert text_of(b"\xb1\xe6", "ISO 2022 IR 149") == "길"
    assert text_of(b"\xd0\xa1", "ISO 2022 IR 58") == "小"
    assert text_of(b"\x1b$B;3\x1b(B", "ISO 2022 IR 87") == "山"


# Writing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, character_set, value",
    [
        ("α\né", MANY, b"\x1b-F\xe1\x1b-A\n\xe9"),
        ("αa", MANY, b"\x1b-F\xe1a\x1b-A"),
        ("山é", MANY, b"\x1b$B;3\x1b(B\x1b-A\xe9"),
        ("가込\r\n", MANY, b"\x1b$)C\xb0\xa1\x1b$B9~\x1b(B\x1b-A\r\n"),
        ("山=ﾔ", ALL_JAPANESE, b"\x1b$B;3\x1b(J=\xd4"),
        ("丂", ALL_JAPANESE, b"\x1b$(D\x30\x21\x1b(J"),
        ("길", "ISO 2022 IR 149", b"\x1b$)C\xb1\xe6"),
        ("Œ", "ISO_IR 203", b"\xbc"),
        ("C:\\~", "ISO_IR 13", b"C:\\~"),
        ("plain", "nonsense", b"plain"),
    ],
)
def test_escape_sequences_lead_there_and_back(text: str, character_set: str, value: bytes) -> None:
    assert encode(text, character_set) == value
    assert text_of(value, character_set) == name_of(value, character_set) == text


@pytest.mark.parametrize(
    "text, character_set",
    [
        ("山", "ISO_IR 100"),
        ("é", ""),
        ("é", "ISO_IR 6"),
        ("é", "nonsense"),
        ("é", JAPANESE + "\\ISO 2022 IR 166"),
        ("€", "ISO_IR 100"),
        ("¥", "ISO_IR 13"),
        ("\ud800", "ISO_IR 192"),
        ("a\x1b$B;3", JAPANESE),
        ("a\x1b", "ISO_IR 100"),
    ],
)
def test_what_a_set_does_not_hold_is_refused(text: str, character_set: str) -> None:
    with pytest.raises(ValueError, match=r"is not in SpecificCharacterSet .* ISO_IR 192 has all characters"):
        encode(text, character_set)


@pytest.mark.parametrize("character_set", ["", "ISO_IR 192", "GB18030", JAPANESE])
def test_what_stands_for_unread_bytes_is_never_written(character_set: str) -> None:
    with pytest.raises(ValueError, match=r"U\+FFFD"):
        encode("M\ufffdller", character_set)


# Any bytes -----------------------------------------------------------------------------------------------------------

KNOWN = sorted({term for script in SCRIPTS.values() for term in script.character_set.split("\\")})
TERMS = st.lists(st.sampled_from(KNOWN) | st.text()).map("\\".join)
ESCAPE_SEQUENCES = (b"$B", b"$(D", b"(B", b"(J", b"$)C", b"$)A", b")I", b"-F", b"$", b"")
PIECES = st.sampled_from([*(b"\x1b" + each for each in ESCAPE_SEQUENCES), b"=", b"^"])


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.lists(st.binary(max_size=8) | PIECES).map(b"".join), TERMS)
def test_reading_never_fails_and_gives_text(value: bytes, character_set: str) -> None:
    for decode in decoders(character_set):
        decode(value).encode()
    assert "\\".join("=".join(groups) for groups in split_names(value, character_set)) == name_of(value, character_set)
    assert all("\\" not in each for each in split_values(value, character_set))


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.text(st.characters(codec="utf-8")) | st.text("aé=^\\\n 山太ﾔαЖ길小Œ丂\x1b"), TERMS)
def test_what_is_written_is_read_again(text: str, character_set: str) -> None:
    try:
        value = encode(text, character_set)
    except ValueError:
        return
    assert text_of(value, character_set) == name_of(value, character_set) == text.rstrip("\0 ")


@pytest.mark.slow
def test_threads_that_read_and_write_different_sets_at_once() -> None:
    def work(script: Script) -> int:
        random = Random(1)
        names = [script.name(random) for _ in range(500)]
        return sum(
            name_of(script.bytes_of(name), script.character_set) == name
            and name_of(encode(name, script.character_set), script.character_set) == name
            for name in names
        )

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, [*SCRIPTS.values()] * 2)) == [500] * len(SCRIPTS) * 2


LETTERS = st.sampled_from((b"A", b" ", b";3", b"=P", b"ED", b"\xb1\xe6", b"\xe9", b"\xa1", b"\n", b"\0", b"\\", b"~"))


EXTENDING = st.lists(st.sampled_from(KNOWN), max_size=4).map("\\".join).filter(lambda text: repertoire(text).extends)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.lists(PIECES | LETTERS, max_size=12).map(b"".join), EXTENDING)
def test_short_cuts_read_what_the_long_way_does(value: bytes, character_set: str) -> None:
    """A value in which something more complicated stands first, behind a backslash, has no short cut."""
    first = decoders(character_set)[1](b"\xe9")
    long_way = b"\xe9\x1b-F\xe9\x1b$B;3\x1b(B\\" + value
    assert name_of(long_way, character_set) == f"{first}ι山\\" + name_of(value, character_set)
