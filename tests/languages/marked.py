"""A language in which every text of a catalogue stands between marks; words outside of them are in no catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

from tests.languages.template_texts import NAMES, VISIBLE

OPEN, CLOSE = "⟦", "⟧"
PROGRAM = f'''
from gettext import NullTranslations
from gantry import languages

class Marked(NullTranslations):
    def gettext(self, message):
        return f"{OPEN}{{message}}{CLOSE}"
    def ngettext(self, one, many, count):
        return self.gettext(one if count == 1 else many)
    def pgettext(self, context, message):
        return self.gettext(message)

languages._load = lambda tag: NullTranslations() if tag == languages.ENGLISH else Marked()
'''
"""Python runs a ``sitecustomize`` of its path before anything else (documentation of the module ``site``)."""
_SKIPPED = ("code", "script", "style", "pre", "textarea", "time")
"""What people have typed, names and addresses, and times, which have no words."""
_VOID = ("input", "img", "meta", "link", "br", "path", "rect", "circle", "line", "col")
_NAME = re.compile(r"[0-9/_]|[.:]\w")
_WORD = re.compile(r"[^\W\d_]{2,}")


def write(folder: Path) -> str:
    """Write the program; the folder to put first in PYTHONPATH."""
    (folder / "sitecustomize.py").write_text(PROGRAM, encoding="utf-8")
    return str(folder)


class _Reader(HTMLParser):
    """``stack``: of every open element whether it is looked into."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[tuple[str, bool]] = []
        self.found: list[tuple[str, str]] = []  # what stands there, and what of it is outside of marks
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._looks():
            values = [value for name, value in attrs if name in VISIBLE and value and tag != "meta"]
            self.found += [(value, _cut(value, 0)[0]) for value in values]
        if tag not in _VOID:
            is_data = tag in _SKIPPED or (tag != "html" and "lang" in given) or given.get("translate") == "no"
            self.stack.append((tag, self._looks() and not is_data))

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        outside, self.depth = _cut(data, self.depth)
        if self._looks():
            self.found.append((data, outside))

    def _looks(self) -> bool:
        return not self.stack or self.stack[-1][1]


def find_unmarked(page: str, data: Iterable[str]) -> list[str]:
    """Texts with words outside of marks that are no ``data``: names and descriptions of the tests' own."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    known = NAMES | {word for text in data for word in _WORD.findall(text)}
    return [text.strip() for text, outside in reader.found if any(word not in known for word in _list_words(outside))]


def _list_words(text: str) -> list[str]:
    """Without names and addresses: ``us-central1``, ``gs://a/**``, ``Europe/Lisbon``."""
    return _WORD.findall(" ".join(part for part in text.split() if not _NAME.search(part)))


def _cut(text: str, depth: int) -> tuple[str, int]:
    """What is outside of marks, which may stand within marks, and how deep the end is in them."""
    kept = []
    for part in re.split(f"([{OPEN}{CLOSE}])", text):
        kept.append(part if depth == 0 and part not in (OPEN, CLOSE) else " ")
        depth += {OPEN: 1, CLOSE: -1}.get(part, 0)
    return "".join(kept), depth
