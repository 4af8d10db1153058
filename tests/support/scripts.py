"""Person names of many scripts, and their bytes in the character sets of DICOM, written with Python's codecs here.

What is tested must not make the bytes that it is tested with: escape sequences are those of PS3.3 §C.12.1.1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

KANJI, SUPPLEMENTARY, HANGUL, HANZI = b"\x1b$B", b"\x1b$(D", b"\x1b$)C", b"\x1b$)A"


class Script(NamedTuple):
    """``groups`` are the alphabets of up to three component groups; ``encode`` writes one component."""

    character_set: str
    groups: tuple[str, ...]
    encode: Callable[[str], bytes]

    def name(self, random: Random) -> str:
        return "=".join(f"{_word(random, group)}^{_word(random, group)}" for group in self.groups)

    def bytes_of(self, name: str) -> bytes:
        """Each component by itself, which is what delimiters mean (PS3.5 §6.1.2.5.3)."""
        return b"=".join(b"^".join(map(self.encode, group.split("^"))) for group in name.split("="))


def _word(random: Random, letters: str) -> str:
    return "".join(random.choices(letters, k=random.randint(1, 3 if len(letters) > 500 else 8)))


def _in(codec: str, leads: Iterable[int], trails: Iterable[int] = ()) -> str:
    """The letters that a codec has at these bytes."""
    codes = [bytes((lead, trail)) for lead in leads for trail in trails] or [bytes((lead,)) for lead in leads]
    found = (code.decode(codec, "ignore") for code in codes)
    return "".join(letter for letter in found if len(letter) == 1 and letter.isalpha())


def _plain(codec: str) -> Callable[[str], bytes]:
    return lambda text: text.encode(codec)


def _right(escape: bytes, codec: str) -> Callable[[str], bytes]:
    """A set in G1: once at the start of a component that needs it."""
    return lambda text: (b"" if text.isascii() else escape) + text.encode(codec)


def _japanese(first: str, back: bytes) -> Callable[[str], bytes]:
    """Kanji in G0, which is left again at once."""

    def encode(text: str) -> bytes:
        out, last = b"", b""
        for letter in text:
            escape, code = _japanese_letter(letter, first)
            out += (escape or back if escape != last else b"") + code
            last = escape
        return out + (back if last else b"")

    return encode


def _japanese_letter(letter: str, first: str) -> tuple[bytes, bytes]:
    if letter.isascii() or (first == "jis_x_0201" and "\uff61" <= letter <= "\uff9f"):
        return b"", letter.encode("shift_jis")
    code = letter.encode("iso2022_jp_1")
    for escape in (SUPPLEMENTARY, KANJI):
        if code.startswith(escape):
            return escape, code[len(escape) :].removesuffix(b"\x1b(B")
    raise ValueError(letter)


ASCII = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HIGH = range(0xA1, 0xFF)
_JIS_208 = _in("euc_jp", range(0xB0, 0xF5), _HIGH)
_ROWS_212 = [bytes((0x8F, row, cell)) for row in range(0xB0, 0xEE) for cell in _HIGH]
_JIS_212 = "".join(code.decode("euc_jp", "ignore") for code in _ROWS_212)
_KANA, _HALF_KANA = "".join(map(chr, range(0x3042, 0x3094))), "".join(map(chr, range(0xFF66, 0xFF9E)))
_HANGUL, _HANJA = _in("euc_kr", range(0xB0, 0xC9), _HIGH), _in("euc_kr", range(0xCA, 0xFE), _HIGH)
_GB2312 = _in("gb2312", range(0xB0, 0xF8), _HIGH)
_GBK = _in("gbk", range(0x81, 0xFE), (0x5C, 0x5E, 0x7C, *range(0x40, 0x5B), *range(0xA1, 0xFE)))
_GB18030 = _GBK + "".join(map(chr, range(0x3400, 0x4DB6))) + "".join(map(chr, range(0x20000, 0x20100)))
_LATIN = {
    "latin 1": ("ISO_IR 100", "latin_1", b"\x1b-A"),
    "latin 2": ("ISO_IR 101", "iso8859_2", b"\x1b-B"),
    "latin 3": ("ISO_IR 109", "iso8859_3", b"\x1b-C"),
    "latin 4": ("ISO_IR 110", "iso8859_4", b"\x1b-D"),
    "latin 5": ("ISO_IR 148", "iso8859_9", b"\x1b-M"),
    "latin 9": ("ISO_IR 203", "iso8859_15", b"\x1b-b"),
    "cyrillic": ("ISO_IR 144", "iso8859_5", b"\x1b-L"),
    "greek": ("ISO_IR 126", "iso8859_7", b"\x1b-F"),
    "arabic": ("ISO_IR 127", "iso8859_6", b"\x1b-G"),
    "hebrew": ("ISO_IR 138", "iso8859_8", b"\x1b-H"),
    "thai": ("ISO_IR 166", "tis_620", b"\x1b-T"),
}

SCRIPTS = {
    **{
        name: Script(term, (_in(codec, _HIGH) + ASCII[:9],), _plain(codec)) for name, (term, codec, _) in _LATIN.items()
    },
    **{
        f"{name} by escape": Script(
            "\\" + term.replace("ISO_IR", "ISO 2022 IR"), (ASCII, _in(codec, _HIGH) + "abc"), _right(escape, codec)
        )
        for name, (term, codec, escape) in _LATIN.items()
    },
    "katakana": Script("ISO_IR 13", (_HALF_KANA + ASCII[:9],), _plain("shift_jis")),
    "kanji": Script("\\ISO 2022 IR 87", (ASCII, _JIS_208, _KANA), _japanese("ascii", b"\x1b(B")),
    "kanji after katakana": Script(
        "ISO 2022 IR 13\\ISO 2022 IR 87", (_HALF_KANA, _JIS_208, _KANA), _japanese("jis_x_0201", b"\x1b(J")
    ),
    "supplementary kanji": Script(
        "ISO 2022 IR 6\\ISO 2022 IR 87\\ISO 2022 IR 159",
        (ASCII, _JIS_208[:3000] + _JIS_212[:3000], _KANA),
        _japanese("ascii", b"\x1b(B"),
    ),
    "hangul": Script("\\ISO 2022 IR 149", (ASCII, _HANJA, _HANGUL), _right(HANGUL, "euc_kr")),
    "hanzi": Script("\\ISO 2022 IR 58", (ASCII, _GB2312), _right(HANZI, "gb2312")),
    "GBK": Script("GBK", (ASCII, _GBK), _plain("gbk")),
    "GB18030": Script("GB18030", (ASCII, _GB18030), _plain("gb18030")),
    "UTF-8": Script("ISO_IR 192", (ASCII + "éЖأ", _GB18030, _HANGUL + _KANA), _plain("utf-8")),
}
"""By a name for people."""
