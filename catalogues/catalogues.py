"""Catalogues of gettext: one .po for each language and part, together one .mo for each language.

They have no dates, line numbers or names of tools, so that two branches that add texts rarely conflict. Where they do:
keep the entries of both, and run ``./run translate`` again. An entry whose text has left the source is removed. There
are no fuzzy entries: a text that has changed is a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from catalogues.extraction import PARTS, SOURCE, extract
from gantry.languages import ENGLISH, LANGUAGES

LOCALES = tuple(tag.replace("-", "_") for tag in LANGUAGES if tag != ENGLISH)
FOLDER = SOURCE / "locale"
__all__ = ["LOCALES", "PARTS", "compile_catalogues", "list_untranslated", "mo_path", "po_path", "read", "update"]


class Plain(Catalog):
    """A catalogue whose header says no more than a reader needs.

    Portuguese and French have one form for 0 and 1 and another for more. CLDR has a third one for whole millions, which
    are read as words ("2 millions d'objets"): Gantry shows numbers as digits.
    """

    num_plurals = 2
    plural_expr = "(n > 1)"

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Language", str(self.locale)),
            ("Plural-Forms", f"nplurals={self.num_plurals}; plural={self.plural_expr};"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]

    @mime_headers.setter
    def mime_headers(self, value: object) -> None:
        """What a file says is not kept."""


def po_path(locale: str, part: str) -> Path:
    return FOLDER / locale / f"{part}.po"


def mo_path(locale: str) -> Path:
    return FOLDER / locale / "LC_MESSAGES" / "gantry.mo"


def read(locale: str, part: str) -> Catalog:
    """Empty where there is no such file yet."""
    if not po_path(locale, part).exists():
        return Catalog(locale)
    with po_path(locale, part).open("rb") as file:
        return read_po(file, locale)


def update(locale: str) -> dict[str, Catalog]:
    """Write the .po of every part: the texts of the source with the translations that are known, of any part."""
    old = {part: read(locale, part) for part in PARTS}
    return {part: _write(locale, part, [old[part], *old.values()]) for part in PARTS}


def _write(locale: str, part: str, known: list[Catalog]) -> Catalog:
    catalogue = make_catalogue(locale, part, known)
    po_path(locale, part).parent.mkdir(parents=True, exist_ok=True)
    po_path(locale, part).write_bytes(to_po(catalogue))
    return catalogue


def make_catalogue(locale: str, part: str, known: list[Catalog]) -> Catalog:
    """The texts of a part as the source has them now, with their translations: of each the first in ``known``."""
    catalogue = Plain(
        locale, header_comment=f"# Gantry, texts of the part {part}. Written by ./run translate.", fuzzy=False
    )
    for text in extract(part):
        catalogue.add(
            text.id, "", [(where, None) for where in text.files], auto_comments=text.comments, context=text.context
        )
    for message in _texts(catalogue):
        found = [each for old in known if (each := old.get(message.id, message.context)) and is_translated(each)]
        if found:
            message.string, message.user_comments = found[0].string, found[0].user_comments
    return catalogue


def to_po(catalogue: Catalog) -> bytes:
    out = BytesIO()
    write_po(out, catalogue, width=120, sort_output=True, include_lineno=False)
    return out.getvalue()


def compile_catalogues(locale: str) -> bytes:
    """Write the .mo of a language; its bytes."""
    mo_path(locale).parent.mkdir(parents=True, exist_ok=True)
    mo_path(locale).write_bytes(compiled := to_mo(locale))
    return compiled


def to_mo(locale: str) -> bytes:
    """The .mo of what the .po of all parts hold."""
    merged = Plain(locale, fuzzy=False)
    for part in PARTS:
        for message in _texts(read(locale, part)):
            merged.add(message.id, message.string, context=message.context)
    out = BytesIO()
    write_mo(out, merged)
    return out.getvalue()


def list_untranslated(catalogue: Catalog) -> list[str]:
    return [str(message.id) for message in _texts(catalogue) if not is_translated(message)]


def is_translated(message: Message) -> bool:
    """Whether it has all its forms, none of them fuzzy."""
    forms = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
    return all(forms) and not message.fuzzy


def _texts(catalogue: Catalog) -> Iterator[Message]:
    return (message for message in catalogue if message.id)
