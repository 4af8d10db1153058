"""Finds the texts of the source that are marked for translation: in Python and in Jinja's templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babel.messages.extract import extract as extract_babel

import gantry

SOURCE = Path(gantry.__file__).parent
PARTS = ("console", "cli", "reasons")
"""Whose texts are where: below ``console``, in ``_REASONS``, and all others."""
_REASONS = ("reasons.py",)
_KEYWORDS: dict[str, Any] = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
_JINJA = {"trimmed": "true", "newstyle_gettext": "true", "trim_blocks": "true", "silent": "false"}
_COMMENT = "For translators:"


@dataclass(slots=True)
class Text:
    """``id`` is the English text, or the forms for one and for many. ``comments`` follow ``For translators:``."""

    id: str | tuple[str, ...]
    context: str | None
    files: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


def extract(part: str) -> Iterable[Text]:
    """The texts of a part, each once, in the order of files and lines."""
    found: dict[tuple[object, str | None], Text] = {}
    for path in _list_files(part):
        for message, comments, context in _read(path):
            text = found.setdefault((message, context), Text(message, context))
            text.files += [name] if (name := str(path.relative_to(SOURCE))) not in text.files else []
            text.comments += [comment for comment in comments if comment not in text.comments]
    return found.values()


def _list_files(part: str) -> Iterator[Path]:
    for path in sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("templates/**/*.html")]):
        if _part_of(path) == part:
            yield path


def _part_of(path: Path) -> str:
    name = path.relative_to(SOURCE)
    return "reasons" if str(name) in _REASONS else "console" if name.parts[0] == "console" else "cli"


def _read(path: Path) -> Iterator[tuple[str | tuple[str, ...], list[str], str | None]]:
    method, options = ("jinja2", _JINJA) if path.suffix == ".html" else ("python", {})
    with path.open("rb") as file:
        for _line, message, comments, context in extract_babel(
            method, file, _KEYWORDS, (_COMMENT,), options, strip_comment_tags=True
        ):
            yield message, comments, context
