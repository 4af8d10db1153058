"""The languages of what people read: English, Brazilian Portuguese, French.

English texts are written in the source, each in ``_("…")`` or ``ngettext("{count} study", "{count} studies", count)``:
a whole sentence with named placeholders, which ``str.format`` fills in afterwards. ``_`` translates when it is called,
so it is called when a text is shown; ``N_("…")`` only marks one of a table. ``./run translate`` finds all of them and
writes ``locale/LANGUAGE/PART.po`` and ``locale/LANGUAGE/LC_MESSAGES/gantry.mo``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations, translation
from os.path import dirname, join

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "pt-BR": "Português (Brasil)", "fr": "Français"}
"""Tags of languages (RFC 5646), each with its own name for itself."""
_FOLDER = join(dirname(__file__), "locale")
_MAX_HEADER = 1000
"""Characters of an Accept-Language that are read: a browser sends less than a hundred."""
_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


def language() -> str:
    """The tag of the language of this call; English where none was set."""
    return _current.get()


@contextmanager
def use_language(tag: str) -> Iterator[None]:
    """Texts are in the language ``tag``, one of ``LANGUAGES``, until the block ends: in this thread or task alone."""
    token = _current.set(tag)
    try:
        yield
    finally:
        _current.reset(token)


def _(text: str) -> str:
    """``text`` in the language of this call."""
    return _load(_current.get()).gettext(text)


def ngettext(one: str, many: str, count: int) -> str:
    """The form for ``count`` in the language of this call."""
    return _load(_current.get()).ngettext(one, many, count)


def pgettext(context: str, text: str) -> str:
    """``text`` in the language of this call, where one word of English is two of another language: ``context`` tells
    them apart."""
    return _load(_current.get()).pgettext(context, text)


def N_(text: str) -> str:
    """``text`` as it is: marks one of a table, which ``_`` translates when it is shown."""
    return text


def choose_by_header(accept_language: str) -> str:
    """The language that a caller prefers (Accept-Language, RFC 9110 §12.5.4); English where it names none of ours."""
    ranges = [_read_range(each) for each in accept_language[:_MAX_HEADER].split(",")]
    ours = [(weight, tag) for weight, tag in ranges if weight > 0 and tag]
    return max(ours, key=lambda each: each[0], default=(1.0, ENGLISH))[1]


def _read_range(text: str) -> tuple[float, str]:
    """Weight and language of ``pt-BR;q=0.8``; of what is not valid the weight is 0."""
    name, *parameters = (part.strip() for part in text.split(";"))
    weights = [part[2:].strip() for part in parameters if part[:2].lower() == "q="]
    try:
        return (float(weights[0]) if weights else 1.0), find_language(name)
    except ValueError:
        return 0.0, ""


def choose_by_environment(environ: Mapping[str, str]) -> str:
    """The language of a terminal, as GNU gettext chooses it: of ``LANGUAGE`` the first that is ours, unless the locale
    is C; else that of ``LC_ALL``, ``LC_MESSAGES`` or ``LANG``, the first that is set."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environ.get(name))), "")
    if locale.partition(".")[0] in ("C", "POSIX"):
        return ENGLISH
    names = [*environ.get("LANGUAGE", "").split(":"), locale]
    return next((tag for name in names if (tag := find_language(name))), ENGLISH)


def find_language(name: str) -> str:
    """The tag of ours for ``pt-PT``, ``pt_BR.UTF-8`` or ``FR``; "" where there is none."""
    first = name.strip().replace("_", "-").partition(".")[0].partition("@")[0].partition("-")[0].lower()
    return next((tag for tag in LANGUAGES if tag.partition("-")[0] == first), "")


@cache
def _load(tag: str) -> NullTranslations:
    if tag == ENGLISH:
        return NullTranslations()
    return translation("gantry", _FOLDER, [tag.replace("-", "_")])
