"""Texts of templates that no catalogue can have: they stand in the page as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

VISIBLE = ("title", "placeholder", "aria-label", "alt", "label", "content", "summary")
"""Attributes that people see or hear."""
_SKIPPED = ("code", "script", "style", "svg")
"""Elements whose text is no language: names, addresses, drawings."""
_COMMENT = re.compile(r"\{#.*?#\}", re.S)
_TRANSLATED = re.compile(r"\{%-?\s*trans\b.*?%\}.*?\{%-?\s*endtrans\s*-?%\}", re.S)
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
_LITERAL = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_CALL = re.compile(r"""\b(?:_|pgettext)\((?:\s*,?\s*(?:'[^']*'|"[^"]*"))+""")
_WORD = re.compile(r"[A-Za-zÀ-ÿ]{2,}")
_SENTENCE = re.compile(r"^[A-Z][a-z]+$|[A-Za-z]+ [a-z]+")
NAMES = frozenset(
    ("Gantry", "DICOM", "DICOMweb", "VR", "CSV", "NDJSON", "JSON", "Parquet", "UTC", "NULL", "BigQuery", "SQL", "UID")
)
"""The same in every language."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [tag] if tag in _SKIPPED else []
        self.found += [value for name, value in attrs if name in VISIBLE and value and tag != "meta"]

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.found += [] if self.open else [data]


def find_fixed_texts(template: str) -> list[str]:
    """Visible texts outside of ``_(…)`` and ``{% trans %}``; literals in expressions that look like a sentence, too."""
    template = _TRANSLATED.sub("", _COMMENT.sub("", template))
    reader = _Reader()
    reader.feed(_JINJA.sub(" ", template))
    reader.close()
    texts = [text.strip() for text in reader.found if _has_words(text)]
    return texts + list(_find_literals(template))


def _has_words(text: str) -> bool:
    if re.match(r"(gs://|/studies/|bq://)", text.strip()):
        return False
    return any(word not in NAMES for word in _WORD.findall(text))


def _find_literals(template: str) -> Iterator[str]:
    for expression in _JINJA.findall(template):
        for single, double in _LITERAL.findall(_CALL.sub("", expression)):
            text = single or double
            if _SENTENCE.search(text) and not set("/=<#") & set(text):
                yield text
