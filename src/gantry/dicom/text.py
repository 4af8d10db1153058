"""Text in the character sets of DICOM (PS3.3 §C.12.1.1.2, PS3.5 §6.1): bytes of values to text, and back.

``character_set`` is the text of SpecificCharacterSet (0008,0005) as its element holds it. Reading never raises.

Escape sequences change what bytes mean. At a delimiter all begins anew in the first character set (PS3.5 §6.1.2.5.3).
A byte is a delimiter only where it is a character of its own: many a kanji has a byte 0x3D, which is no ``=``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from gantry.dicom.character_sets import ESCAPES, LONGEST, UNKNOWN, CodedSet, Repertoire, repertoire
from gantry.dicom.value_forms import Unwritable

Decode = Callable[[bytes], str]
"""From the bytes of a value to its text; what cannot be decoded becomes U+FFFD. Padding at its end is left out."""

_PADDING, _ESC, _CONTROLS = b"\0 ", b"\x1b", bytes((*range(0x1B), *range(0x1C, 0x20)))
_DELIMITERS = frozenset((*map(chr, range(0x20)), "\\", "^", "="))
_IN_TEXT, _IN_VALUES, _IN_NAMES = (re.compile(rb"[\x00-\x1f%s]" % more) for more in (b"", rb"\\", rb"\\^="))
"""Delimiters of PS3.5 §6.1.2.5.3: any control character, and those between values, component groups and components."""

_KINDS = _IN_TEXT, _IN_VALUES, _IN_NAMES
_PAIRS, _OTHERS = re.compile(rb"(?:[\x21-\x7e]{2})+"), re.compile(rb"[\x20\x7f-\xff]+")

_OUTSIDE = re.compile(
    rb"(?:\A|[\x00-\x1a\x1c-\x1f\\^=])[^\x00-\x1f\\^=\x80-\xff]*[\x80-\xff]"  # after no escape sequence …
    rb"|[\x80-\xff]\x1b"  # … or the first half of a pair, perhaps
)


def decoders(character_set: str) -> tuple[Decode, Decode]:
    """For text, and for person names, whose component groups and components each begin anew."""
    reader = _make_reader(character_set[:LONGEST])
    return reader.text, reader.names


def split_values(value: bytes, character_set: str) -> list[str]:
    """The values of text that can have several (LO, SH, UC). Padding before a backslash stays."""
    return _make_reader(character_set[:LONGEST]).values(value).split("\\")


def split_names(value: bytes, character_set: str) -> list[list[str]]:
    """The values of PN, each as its component groups (PS3.5 §6.2.1)."""
    text = _make_reader(character_set[:LONGEST]).names(value)
    return [name.split("=") for name in text.split("\\")]


class _Reader(NamedTuple):
    """How a character set is read. A ``\\``, ``^`` or ``=`` in the text was a delimiter: no other bytes give one."""

    text: Decode
    values: Decode
    names: Decode


@lru_cache(maxsize=128)
def _make_reader(character_set: str) -> _Reader:
    known = repertoire(character_set)
    first = known.first.decode
    read = (
        _make_extended_decoder(first, delimiters) if known.extends else _make_plain_decoder(first)
        for delimiters in _KINDS
    )
    return _Reader(*read)


def _make_plain_decoder(first: Decode) -> Decode:
    return lambda value: first(value.rstrip(_PADDING))


def _make_extended_decoder(first: Decode, delimiters: re.Pattern[bytes]) -> Decode:
    """With escape sequences; ``first`` reads the first character set."""

    def decode(value: bytes) -> str:
        value = value.rstrip(_PADDING)
        if _ESC not in value:
            return first(value)
        text = _decode_one_set(value) if b"\x1b$B" not in value else _decode_kanji(value, first)
        return _decode_pieces(value, first, delimiters) if text is None else text

    return decode


def _decode_kanji(value: bytes, first: Decode) -> str | None:
    """ASCII and kanji, in one go; None for what has anything else or is not as it should be.

    Python's codec knows no delimiters, but none is in kanji. It has ¥ and ‾ after ESC ( J (see ``character_sets``) and
    makes something else of other escape sequences.
    """
    at = value.index(_ESC)
    kanji = value[at:].replace(b"\x1b(J", b"\x1b(B")
    known = kanji.count(b"\x1b(B") + kanji.count(b"\x1b$B") + kanji.count(b"\x1b$(D")
    if kanji.count(_ESC) != known or len(kanji.translate(None, _CONTROLS)) != len(kanji):
        return None
    try:
        return first(value[:at]) + kanji.decode("iso2022_jp_1")
    except UnicodeDecodeError:
        return None


def _decode_one_set(value: bytes) -> str | None:
    """ASCII and one set in G1, in one go; None for what has anything else, or needs to know where that set ends."""
    at = value.index(_ESC) + 1
    coded, length = _find_invoked(value[at : at + 3])
    escape = _ESC + value[at : at + length]
    if coded is None or not coded.escape or coded.in_g0:
        return None
    if value.count(escape) != value.count(_ESC) or _OUTSIDE.search(value):
        return None
    return coded.decode(value.replace(escape, b""))


def _decode_pieces(value: bytes, first: Decode, delimiters: re.Pattern[bytes]) -> str:
    """From one escape sequence to the next. ``kanji`` reads a two-byte set in G0, ``single`` everything else."""
    head, *pieces = value.split(_ESC)
    texts, single = [first(head)], first
    kanji: Decode | None = None
    for piece in pieces:
        coded, at = _find_invoked(piece)
        if coded is None:
            texts.append(UNKNOWN)
            kanji, single = None, first
        elif coded.in_g0:
            kanji = coded.decode
        elif piece.startswith(b"("):
            kanji = None
        else:
            single = coded.decode
        if kanji:
            at = _read_kanji(piece, at, kanji, single, delimiters, texts)
        else:
            found = delimiters.search(piece, at)
            end = found.start() if found else len(piece)
            texts.append(single(piece[at:end]))
            at = end
        if at < len(piece):
            texts.append(first(piece[at:]))
            kanji, single = None, first
    return "".join(texts)


def _find_invoked(piece: bytes) -> tuple[CodedSet | None, int]:
    """The set that the start of ``piece`` asks for, and where what follows begins."""
    coded = ESCAPES.get(piece[:2])
    if coded:
        return coded, 2
    coded = ESCAPES.get(piece[:3])
    return coded, 3 if coded else 0


def _read_kanji(
    piece: bytes, at: int, kanji: Decode, single: Decode, delimiters: re.Pattern[bytes], texts: list[str]
) -> int:
    """Pairs of bytes, and what may stand between them, up to a delimiter or the end: its place.

    A delimiter without a second byte is one: some devices forget the escape sequence before it.
    """
    while at < len(piece):
        if pairs := _PAIRS.match(piece, at):
            texts.append(kanji(pairs[0]))
            at = pairs.end()
        elif others := _OTHERS.match(piece, at):
            texts.append(single(others[0]))
            at = others.end()
        elif delimiters.match(piece, at):
            break
        else:
            texts.append(UNKNOWN)
            at += 1
    return at


# --- writing


def encode(text: str, character_set: str) -> bytes:
    """The bytes of text, whose reading gives the same text again, without its padding (PS3.5 §6.1.2.5.3).

    The first character set is active before delimiters and at the end. Raises Unwritable for what a character set
    cannot hold, and for U+FFFD, which stands for bytes that could not be read.
    """
    if UNKNOWN in text:
        raise Unwritable(f"{text[:100]!r} has U+FFFD, which stands for what could not be read: write the text itself")
    known = repertoire(character_set)
    value = _encode_at_once(known.written, text)
    if value is None and known.others:
        value = _Writer(known).write(text)
    if value is None or (known.extends and not _is_reversible(value, text, character_set)):
        raise Unwritable(
            f"{text[:100]!r} is not in SpecificCharacterSet {character_set[:100]!r}; ISO_IR 192 has all characters"
        )
    return value


def _encode_at_once(coded: CodedSet, text: str) -> bytes | None:
    try:
        value = coded.encode(text)
    except ValueError:
        return None
    return value if coded.decode(value) == text else None


def _is_reversible(value: bytes, text: str, character_set: str) -> bool:
    """An ESC of the text itself does not."""
    text = text.rstrip("\0 ")
    return _ESC not in value or all(decode(value) == text for decode in decoders(character_set))


class _Writer:
    """Text with escape sequences.

    The last escape sequence is what counts for other readers, so a set in G1 is asked for again after kanji, though
    it has not changed. ``active`` is the set that needs none.
    """

    def __init__(self, known: Repertoire) -> None:
        self._known, self._out = known, bytearray()
        self._active: CodedSet | None = known.written
        self._in_g1, self._kanji = known.written, False

    def write(self, text: str) -> bytes | None:
        """None for a character that is in none of the sets."""
        for character in text:
            if character in _DELIMITERS:
                self._begin_anew()
            elif character.isascii():
                self._leave_kanji()
            else:
                found = self._find(character)
                if found is None:
                    return None
                self._invoke(found[0])
                self._out += found[1]
                continue
            self._out += character.encode()
        self._begin_anew()
        return bytes(self._out)

    def _find(self, character: str) -> tuple[CodedSet, bytes] | None:
        first = (self._active,) if self._active else ()
        for coded in (*first, self._known.written, *self._known.others):
            value = _encode_at_once(coded, character)
            if value is not None:
                return coded, value
        return None

    def _invoke(self, coded: CodedSet) -> None:
        if coded is self._active:
            return
        if coded.in_g0:
            self._kanji = True
        else:
            self._leave_kanji()
            self._in_g1 = coded
        self._out += _ESC + coded.escape
        self._active = coded

    def _leave_kanji(self) -> None:
        if self._kanji:
            self._out += _ESC + self._known.written.to_g0
            self._kanji, self._active = False, None

    def _begin_anew(self) -> None:
        self._leave_kanji()
        written = self._known.written
        if self._in_g1 is not written and written.escape:
            self._out += _ESC + written.escape
        self._in_g1 = self._active = written
