"""Numbers as people read them on the command line, in the language of this call.

The console has more of them (``console/formats.py``), with Babel, whose import takes longer than a command."""

from __future__ import annotations

from gantry.languages import N_, _, language, ngettext

_SIGNS = {"en": (",", "."), "pt-BR": (".", ","), "fr": ("\u202f", ",")}
"""What stands between groups of three digits, and before decimals (Unicode CLDR, symbols of the locale)."""
_UNITS = (N_("{count} KiB"), N_("{count} MiB"), N_("{count} GiB"), N_("{count} TiB"), N_("{count} PiB"))


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
    if count < 1024:
        return ngettext("{count} byte", "{count} bytes", round(count)).format(count=format_number(count))
    place, count = 0, count / 1024
    while count >= 1024 and place < len(_UNITS) - 1:
        place, count = place + 1, count / 1024
    return _(_UNITS[place]).format(count=format_decimal(count))


def format_count(count: int, thing: str) -> str:
    """``1 finding``, ``1,200 studies``: in English. ``thing`` is one of them."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"
