"""How texts are compared in searches, whether stored or asked for: without case, accents and width; dates and times in
one form."""

from __future__ import annotations

import re
from unicodedata import normalize

_ACCENTS = re.compile("[\u0300-\u036f]")
_BETWEEN = re.compile(r"[\s^=,.\-]+")
# ACR-NEMA 2.0 wrote dates and times like this; readers should take them (PS3.5 §6.2, notes to DA and TM).
_OLD_DATE = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_OLD_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]*)?)?")


def search_key(text: str) -> str:
    """Case and compatibility forms folded; accents of Latin, Greek and Cyrillic letters removed."""
    if text.isascii():
        return text.strip().lower()
    return normalize("NFKC", _ACCENTS.sub("", normalize("NFKD", text))).casefold().strip()


def name_keys(name: str) -> list[str]:
    """The component groups of a PN (PS3.5 §6.2.1), each as a key without trailing empty components."""
    keys = (search_key(group.rstrip("^ ")) for group in name.split("="))
    return [key for key in keys if key]


def tokens(text: str) -> list[str]:
    """The words of a name, as keys, in the order they come; each once."""
    return list(dict.fromkeys(word for word in _BETWEEN.split(search_key(text)) if word))


def date_key(text: str) -> str:
    """A date as YYYYMMDD where it is written as YYYY.MM.DD; anything else as it is, without spaces around it."""
    text = text.strip()
    found = _OLD_DATE.fullmatch(text)
    return "".join(found.groups()) if found else text


def time_key(text: str) -> str:
    """A time as HHMMSS.FFFFFF where it is written as HH:MM:SS.FFFFFF; anything else as it is, without spaces."""
    text = text.strip()
    return text.replace(":", "") if _OLD_TIME.fullmatch(text) else text
