"""How texts are compared in searches, whether stored or asked for: without case, accents and width; dates and times in
one form."""

from __future__ import annotations

import re
from collections.abc import Callable
from unicodedata import normalize

_ACCENTS = re.compile("[\u0300-\u036f]")
_COMPONENTS = re.compile(r"[\^=]")
_BETWEEN = re.compile(r"[\s^=,.\-]+")
# ACR-NEMA 2.0 wrote dates and times like this; readers should take them (PS3.5 §6.2, notes to DA and TM).
_OLD_DATE = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_OLD_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]*)?)?")


def search_key(text: str) -> str:
    """Case and compatibility forms folded; accents of Latin, Greek and Cyrillic letters removed.

    Empty for spaces alone. A text of which nothing would be left, such as an accent without a letter, is its own key:
    else it would be found by nothing, and a search for it would find everything.
    """
    if text.isascii():
        return text.strip().lower() or text.strip(" ")
    key = normalize("NFKC", _ACCENTS.sub("", normalize("NFKD", text))).casefold().strip()
    return key or normalize("NFC", text).strip(" ")


def pattern_key(pattern: str) -> str:
    """As ``search_key``, of a text with wildcards, which alone would find everything."""
    key = search_key(pattern)
    if key.strip("*? ") or not pattern.strip("*? "):
        return key
    return normalize("NFC", pattern).strip(" ")


def name_keys(name: str, fold: Callable[[str], str] = search_key) -> list[str]:
    """The component groups of a PN (PS3.5 §6.2.1), each as a key without trailing empty components."""
    keys = (fold(group.rstrip("^ ")) for group in name.split("="))
    return [key for key in keys if key]


def tokens(text: str) -> list[str]:
    """The words of a name, as keys, in the order they come; each once. A component without a word is one itself."""
    found: dict[str, None] = {}
    for component in _COMPONENTS.split(text):
        keys = [search_key(part) for part in _BETWEEN.split(component)]
        words = [word for key in keys for word in _BETWEEN.split(key) if word] or [search_key(component)]
        found |= dict.fromkeys(filter(None, words))
    return list(found)


def date_key(text: str) -> str:
    """A date as YYYYMMDD where it is written as YYYY.MM.DD; anything else as it is, without spaces around it."""
    text = text.strip()
    found = _OLD_DATE.fullmatch(text)
    return "".join(found.groups()) if found else text


def time_key(text: str) -> str:
    """A time as HHMMSS.FFFFFF where it is written as HH:MM:SS.FFFFFF; anything else as it is, without spaces."""
    text = text.strip()
    return text.replace(":", "") if _OLD_TIME.fullmatch(text) else text
