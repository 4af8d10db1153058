"""How texts are compared in searches: without case, accents and width, whether stored or asked for."""

from __future__ import annotations

import re
from unicodedata import normalize

_ACCENTS = re.compile("[\u0300-\u036f]")
_BETWEEN = re.compile(r"[\s^=,.\-]+")


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
