"""Numbers as people read them, in the language of this call: the same in the console and on the command line."""

from __future__ import annotations

from gantry.languages import N_, _, language

_SIGNS = {"en": (",", "."), "pt-BR": (".", ","), "fr": ("\u202f", ",")}
"""What stands between groups of three digits, and before decimals (Unicode CLDR, symbols of the locale)."""
_UNITS = (N_("{size} bytes"), N_("{size} KiB"), N_("{size} MiB"), N_("{size} GiB"), N_("{size} TiB"), N_("{size} PiB"))


def format_number(count: float) -> str:
    """A whole number: ``1,204``."""
    return _localize(f"{count:,.0f}")


def format_decimal(number: float) -> str:
    """With one decimal: ``1,204.5``."""
    return _localize(f"{number:,.1f}")


def _localize(text: str) -> str:
    group, point = _SIGNS[language()]
    return text.replace(",", "\0").replace(".", point).replace("\0", group)


def format_size(count: float) -> str:
    """``17 bytes``, ``1.5 KiB``, ``3.0 GiB``."""
    place = 0
    while count >= 1024 and place < len(_UNITS) - 1:
        count, place = count / 1024, place + 1
    return _(_UNITS[place]).format(size=format_decimal(count) if place else format_number(count))


def format_count(count: int, thing: str) -> str:
    """``1 finding``, ``1,200 studies``: in English. ``thing`` is one of them."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"
