"""The catalogues: complete, of the present source, with the placeholders and marks of the English texts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest
from babel.messages.catalog import Message
from catalogues.catalogues import LOCALES, is_translated, make_catalogue, mo_path, po_path, read, to_mo, to_po
from catalogues.extraction import PARTS, extract

from gantry.languages import LANGUAGES, _, ngettext, pgettext, use_language

AGAIN = "run ./run translate"
PAGES = ("console", "reasons")
"""Parts whose texts stand on pages."""
_PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|\{\w*[^{}]*\}")
_MARKUP = re.compile(r"</?\w+>")
_SPACE = re.compile(r"^\s|\s$|  |\n")
_END = re.compile(r"[.:?…]$")


def forms(text: object) -> tuple[str, ...]:
    """The forms of a text for one and for many, or its only one."""
    return tuple(text) if isinstance(text, (tuple, list)) else (str(text),)


def texts(locale: str, part: str) -> Iterator[Message]:
    return (message for message in read(locale, part) if message.id)


def pairs(locale: str, parts: Sequence[str] = PARTS) -> Iterator[tuple[str, str]]:
    """Every form in English with every form of its translation."""
    for part in parts:
        for message in texts(locale, part):
            for translation in forms(message.string):
                yield forms(message.id)[-1], translation


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_catalogue_has_the_texts_of_the_source(locale: str, part: str) -> None:
    written = po_path(locale, part).read_bytes()
    assert written == to_po(make_catalogue(locale, part, [read(locale, part)])), AGAIN


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_translated(locale: str, part: str) -> None:
    assert [message.id for message in texts(locale, part) if not is_translated(message)] == []
    assert [message.id for message in texts(locale, part) if message.fuzzy] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_is_written(locale: str) -> None:
    assert mo_path(locale).read_bytes() == to_mo(locale), AGAIN


@pytest.mark.parametrize("locale", LOCALES)
def test_placeholders_and_marks_are_kept(locale: str) -> None:
    wrong = [
        (english, translated)
        for english, translated in pairs(locale)
        for pattern in (_PLACEHOLDER, _MARKUP)
        if sorted(pattern.findall(english)) != sorted(pattern.findall(translated))
    ]
    assert wrong == []


@pytest.mark.parametrize("locale", LOCALES)
def test_a_text_breaks_no_page(locale: str) -> None:
    """Templates put texts into attributes and between tags as they are."""
    risky = re.compile(r"[\"&<>]")
    wrong = [text for pair in pairs(locale, PAGES) for text in pair if risky.search(_MARKUP.sub("", text))]
    assert wrong == []


@pytest.mark.parametrize("locale", LOCALES)
def test_texts_begin_and_end_alike(locale: str) -> None:
    def shape(text: str) -> tuple[bool, str]:
        return bool(_SPACE.search(text)), "".join(_END.findall(text))

    assert [pair for pair in pairs(locale) if shape(pair[0]) != shape(pair[1])] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_one_text_has_one_translation(locale: str) -> None:
    found = defaultdict(set)
    for part in PARTS:
        for message in texts(locale, part):
            found[message.context, message.id].add(forms(message.string))
    assert [text for text, translations in found.items() if len(translations) > 1] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_signs_stand_as_the_language_puts_them(locale: str) -> None:
    """French has a space before ``; : ? » %`` that does not break the line; Portuguese has none."""
    sign = re.compile(r"[;?»]|:(?=\s|$)|%%")
    kept = "\u00a0" if locale == "fr" else ""
    wrong = [
        text
        for part in PAGES
        for message in texts(locale, part)
        for text in forms(message.string)
        for found in sign.finditer(re.sub(r"<code>.*?</code>|gantry-uids:", "/", text))
        if (before := found.string[: found.start()])[-1:].isspace() != bool(kept) or not before.endswith(kept)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("tag", "count", "text"),
    [
        *(("en", 0, "studies"), ("en", 1, "study"), ("en", 2, "studies")),
        *(("pt-BR", 0, "estudo"), ("pt-BR", 1, "estudo"), ("pt-BR", 2, "estudos")),
        *(("fr", 0, "étude"), ("fr", 1, "étude"), ("fr", 2, "études"), ("fr", 1_000_000, "études")),
    ],
)
def test_one_and_many(tag: str, count: int, text: str) -> None:
    with use_language(tag):
        assert ngettext("{count} study", "{count} studies", count) == f"{{count}} {text}"


@pytest.mark.parametrize("locale", LOCALES)
def test_both_forms_are_there(locale: str) -> None:
    plural = [message for part in PARTS for message in texts(locale, part) if message.pluralizable]
    assert plural and all(len(forms(message.string)) == 2 for message in plural)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_server_reads_them(locale: str) -> None:
    tag = next(tag for tag in LANGUAGES if tag.replace("-", "_") == locale)
    with use_language(tag):
        for part in PARTS:
            for message in texts(locale, part):
                if not message.pluralizable:
                    text = str(message.id)
                    shown = pgettext(message.context, text) if message.context else _(text)
                    assert shown == message.string


def test_every_part_but_the_command_line_has_texts() -> None:
    assert all(list(extract(part)) for part in PARTS if part != "cli")
