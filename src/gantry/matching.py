"""Keys by which searches compare texts: without case, accents and width; dates and times in one form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from unicodedata import normalize

_ACCENTS = re.compile("[\u0300-\u036f]")
_COMPONENTS = re.compile(r"[\^=]")
MAX_TEXT = 1024
MAX_CODE = 64
"""Characters of a code, a date or a time that searches compare: valid ones have up to 28 (PS3.5 §6.2, TM and DT 26 with
padding), and a key of PostgreSQL has 2,704 bytes at most, some of several such columns."""
NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
"""The component groups of a PN in the DICOM JSON model, in their order (PS3.18 §F.2.2)."""
# No text in a database or on a page: controls (PostgreSQL refuses U+0000) and halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SPACES = re.compile("[\t\n\f\r]+")
_BETWEEN = re.compile(r"[\s^=,.\-]+")
# ACR-NEMA 2.0 wrote dates and times like this; readers should take them (PS3.5 §6.2, notes to DA and TM).
_OLD_DATE = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_OLD_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]*)?)?")


def join_values(values: Iterable[str]) -> str:
    """The values of an attribute as searches look for them: joined by a backslash, without controls, of up to
    ``MAX_TEXT`` characters."""
    text = "\\".join(values)[:MAX_TEXT]
    return _CONTROL.sub("", _SPACES.sub(" ", text)).strip() if _CONTROL.search(text) else text


def join_element(element: Mapping[str, Any]) -> str:
    """The text of an element of DICOM JSON as searches look for it: its values, component groups of names joined by
    ``=``."""
    values = element.get("Value")
    return join_values(map(_format_value, values if isinstance(values, list) else ()))


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return "=".join(str(value.get(group, "")) for group in NAME_GROUPS).rstrip("=")
    return "" if value is None else str(value)


def search_key(text: str) -> str:
    """Fold case and compatibility forms; remove accents of Latin, Greek and Cyrillic letters.

    Empty for spaces alone. A text of which nothing would be left, such as an accent without a letter, is its own key:
    a search for an empty key would find everything.
    """
    if text.isascii():
        return text.strip().lower() or text.strip(" ")
    key = normalize("NFKC", _ACCENTS.sub("", normalize("NFKD", text))).casefold().strip()
    return key or normalize("NFC", text).strip(" ")


def pattern_key(pattern: str) -> str:
    """Like ``search_key``, for a text with wildcards. The key is never wildcards alone, which would find everything."""
    key = search_key(pattern)
    if key.strip("*? ") or not pattern.strip("*? "):
        return key
    return normalize("NFC", pattern).strip(" ")


def name_keys(name: str, fold: Callable[[str], str] = search_key) -> list[str]:
    """The component groups of a PN (PS3.5 §6.2.1), each as a key without trailing empty components."""
    keys = (fold(group.rstrip("^ ")) for group in name.split("="))
    return [key for key in keys if key]


def split_words(text: str) -> list[str]:
    """The different words of a name, as keys, in order. A component without letters or digits is a word itself."""
    unique: dict[str, None] = {}
    for component in _COMPONENTS.split(text):
        keys = [search_key(part) for part in _BETWEEN.split(component)]
        words = [word for key in keys for word in _BETWEEN.split(key) if word] or [search_key(component)]
        unique |= dict.fromkeys(filter(None, words))
    return list(unique)


def date_key(text: str) -> str:
    """YYYY.MM.DD becomes YYYYMMDD; other text is returned without spaces around it."""
    text = text.strip()
    match = _OLD_DATE.fullmatch(text)
    return "".join(match.groups()) if match else text


def time_key(text: str) -> str:
    """HH:MM:SS.FFFFFF becomes HHMMSS.FFFFFF; other text is returned without spaces around it."""
    text = text.strip()
    return text.replace(":", "") if _OLD_TIME.fullmatch(text) else text
