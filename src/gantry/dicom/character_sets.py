"""The character sets of DICOM (PS3.3 §C.12.1.1.2): Defined Terms, escape sequences, and Python's codec for each.

Where Python's codec of a set holds more than the set itself, only the set's own bytes get to it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from encodings.aliases import aliases
from functools import lru_cache
from typing import NamedTuple

UNKNOWN = "\ufffd"
"""What stands for bytes that are no character."""

ASCII_ESCAPE, ROMAJI_ESCAPE = b"(B", b"(J"


class CodedSet(NamedTuple):
    """A coded character set: ``decode`` never raises, ``encode`` gives a ValueError for what it has not.

    ``escape`` is its escape sequence without the ESC. Sets of ``in_g0`` have two bytes from 0x21 to 0x7E for each
    character and nothing else; in the others ASCII stays what it is.
    """

    decode: Callable[[bytes], str]
    encode: Callable[[str], bytes]
    escape: bytes = b""
    in_g0: bool = False
    to_g0: bytes = ASCII_ESCAPE


class Repertoire(NamedTuple):
    """What a SpecificCharacterSet names: the set that text begins in, and those that escape sequences lead to.

    ``written`` is the first set for writing: sets that cannot come first are always written with an escape sequence.
    """

    first: CodedSet
    written: CodedSet
    others: tuple[CodedSet, ...] = ()
    extends: bool = True


# --- error handlers of codecs: one U+FFFD for a pair of bytes that is not assigned, and the rest stays in step


def _skip_pair(error: UnicodeError) -> tuple[str, int]:
    """For sets of pairs whose bytes are both in GL or both in GR (ISO/IEC 2022)."""
    data, start = _locate_error(error)
    pair = data[start : start + 2]
    is_pair = len(pair) == 2 and pair[0] & 0x7F > 0x20 and not (pair[0] ^ pair[1]) & 0x80
    return UNKNOWN, start + (2 if is_pair else 1)


_GB_CHARACTER = re.compile(rb"[\x81-\xfe](?:[\x30-\x39][\x81-\xfe][\x30-\x39]|[\x40-\x7e\x80-\xfe])")


def _skip_gb(error: UnicodeError) -> tuple[str, int]:
    """For GBK and GB18030, by the ranges of their bytes."""
    data, start = _locate_error(error)
    found = _GB_CHARACTER.match(data, start)
    return UNKNOWN, found.end() if found else start + 1


def _locate_error(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object, error.start


_PAIRS, _GB = "gantry.pairs", "gantry.gb"
codecs.register_error(_PAIRS, _skip_pair)
codecs.register_error(_GB, _skip_gb)


# --- the sets


def _of_codec(codec: str, escape: bytes = b"", errors: str = "replace") -> CodedSet:
    def decode(data: bytes) -> str:
        return data.decode(codec, errors)

    def encode(text: str) -> bytes:
        return text.encode(codec)

    return CodedSet(decode, encode, escape)


def _jis_x_0201() -> CodedSet:
    """ISO-IR 14 and 13. 0x5C is the backslash and 0x7E the tilde, as pydicom and Windows have them (not ¥ and ‾):
    DICOM takes 0x5C for a delimiter, and paths of files would not come back."""
    table = "".join(map(chr, range(0x80))) + "\ufffe" * 0x21
    table += "".join(map(chr, range(0xFF61, 0xFFA0))) + "\ufffe" * 0x20
    characters = codecs.charmap_build(table)

    def decode(data: bytes) -> str:
        return codecs.charmap_decode(data, "replace", table)[0]

    def encode(text: str) -> bytes:
        return codecs.charmap_encode(text, "strict", characters)[0]

    return CodedSet(decode, encode, b")I", to_g0=ROMAJI_ESCAPE)


def _of_kanji(escape: bytes, lead: bytes) -> CodedSet:
    """JIS X 0208 or JIS X 0212; ``lead`` comes before a pair in EUC-JP."""
    start = b"\x1b" + escape

    def decode(data: bytes) -> str:
        return (start + data).decode("iso2022_jp_2", _PAIRS)

    def encode(text: str) -> bytes:
        data = text.encode("euc_jp")
        if len(data) != len(lead) + 2 or not data.startswith(lead) or data[0] == 0x8E:
            raise ValueError(f"{text[:1]!r} is not in this set")
        return bytes(byte & 0x7F for byte in data[len(lead) :])

    return CodedSet(decode, encode, escape, in_g0=True)


_JIS_X_0208, _JIS_X_0212 = _of_kanji(b"$B", b""), _of_kanji(b"$(D", b"\x8f")
_DEFAULT = CodedSet(_of_codec("latin-1").decode, _of_codec("ascii").encode)
"""ISO-IR 6. Bytes above 0x7F, which it has not, are read as Latin-1: many files do not say so, and hold it."""

_SETS = {
    "6": _DEFAULT,
    "13": _jis_x_0201(),
    "100": _of_codec("latin-1", b"-A"),
    "101": _of_codec("iso8859_2", b"-B"),
    "109": _of_codec("iso8859_3", b"-C"),
    "110": _of_codec("iso8859_4", b"-D"),
    "126": _of_codec("iso8859_7", b"-F"),
    "127": _of_codec("iso8859_6", b"-G"),
    "138": _of_codec("iso8859_8", b"-H"),
    "144": _of_codec("iso8859_5", b"-L"),
    "148": _of_codec("iso8859_9", b"-M"),
    "166": _of_codec("tis_620", b"-T"),
    "203": _of_codec("iso8859_15", b"-b"),
    "87": _JIS_X_0208,
    "159": _JIS_X_0212,
    "149": _of_codec("euc_kr", b"$)C", _PAIRS),
    "58": _of_codec("gb2312", b"$)A", _PAIRS),
}
"""By the number of ISO's register (PS3.3 Tables C.12-2 to C.12-4)."""

ESCAPES = {found.escape: found for found in _SETS.values() if found.escape}
ESCAPES |= {ASCII_ESCAPE: _DEFAULT, ROMAJI_ESCAPE: _DEFAULT}
ESCAPES |= {b"$@": _JIS_X_0208, b"$(B": _JIS_X_0208}
"""What follows an ESC. The last two are JIS C 6226 of 1978 and the long form of ISO/IEC 2022, which old devices write.
A value may use any of them, whether SpecificCharacterSet names it or not."""

_NOT_FIRST = frozenset(("87", "159", "149", "58"))


# --- Defined Terms, and what files have in their place

_TERM = re.compile(r"ISO(?:2022)?(?:IR)?([0-9]{1,3})")
_CODECS = frozenset(
    (
        *("ascii", "big5", "cp932", "cp949", "euc_jp", "euc_kr", "gb2312", "koi8_r", "shift_jis", "utf_8"),
        *(f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)),
        *(f"cp{page}" for page in (874, *range(1250, 1259))),
        *("latin_1", "tis_620"),
    )
)
"""Python's codecs in which ASCII is ASCII. Some files have such a name in the place of a Defined Term."""


def _strip_term(name: str) -> str:
    return re.sub(r"[^0-9A-Z]", "", name.upper())


_UTF_8, _GBK, _GB18030 = _of_codec("utf-8"), _of_codec("gbk", errors=_GB), _of_codec("gb18030", errors=_GB)
_ALONE = {"ISOIR192": _UTF_8, "ISO2022IR192": _UTF_8}
_ALONE |= {"GBK": _GBK, "ISO2022GBK": _GBK, "GB18030": _GB18030, "ISO2022GB18030": _GB18030}
_NAMES = {name: codec for name, codec in aliases.items() if codec in _CODECS} | {codec: codec for codec in _CODECS}
_BY_NAME = {_strip_term(name): codec for name, codec in _NAMES.items()}
_BY_NAME |= {"ISO88591": "latin_1"}
LONGEST = 1024
"""Characters of a SpecificCharacterSet that are looked at: 60 Defined Terms."""


def repertoire(character_set: str) -> Repertoire:
    """What the text of SpecificCharacterSet (0008,0005) means, its values between backslashes.

    Case, and anything but letters and digits, do not matter: ``ISO-IR 100``, ``iso_ir_100`` and ``ISO 2022 IR 100`` are
    one. Names of common codecs count too. A first value that is unknown is read as the default repertoire; a later
    one, like one that cannot be used with code extensions, is left out.
    """
    return _build_repertoire(character_set[:LONGEST])


def names_letters(character_set: str) -> bool:
    """Whether SpecificCharacterSet says what letters there are beyond ASCII. Without that they are read as Latin-1,
    which may be wrong."""
    first, *more = map(_strip_term, character_set[:LONGEST].split("\\"))
    if first and _find_number(first) != "6":
        return bool(_find_number(first) or _find_alone(first))
    return any(_find_number(term) not in ("", "6") for term in more)


@lru_cache(maxsize=128)
def _build_repertoire(character_set: str) -> Repertoire:
    term, *more = map(_strip_term, character_set.split("\\"))
    alone = _find_alone(term)
    if alone:
        return Repertoire(alone, alone, extends=False)
    numbers = [_find_number(name) for name in more]
    number = _find_number(term) or "6"
    if number in _NOT_FIRST:
        numbers.insert(0, number)
    others = tuple(_SETS[found] for found in dict.fromkeys(numbers) if found not in ("", "6"))
    first = _SETS[number]
    if number not in _NOT_FIRST:
        return Repertoire(first, first, others)
    return Repertoire(_DEFAULT if first.in_g0 else first, _DEFAULT, others)


def _find_number(term: str) -> str:
    found = _TERM.fullmatch(term)
    return found[1] if found and found[1] in _SETS else ""


def _find_alone(term: str) -> CodedSet | None:
    """A set that takes no escape sequences."""
    if term in _ALONE:
        return _ALONE[term]
    if term not in _BY_NAME or _find_number(term):
        return None
    return _of_codec(_BY_NAME[term])
