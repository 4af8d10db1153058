"""Numbers of things as text, in the forms that the reader's language has for one and for many."""

from __future__ import annotations

from collections.abc import Callable

from gantry.console.formats import number
from gantry.languages import ngettext

_FORMS: dict[str, Callable[[int], str]] = {
    "study": lambda n: ngettext("{count} study", "{count} studies", n),
    "series": lambda n: ngettext("{count} series", "{count} series", n),
    "instance": lambda n: ngettext("{count} instance", "{count} instances", n),
    "object": lambda n: ngettext("{count} object", "{count} objects", n),
    "operation": lambda n: ngettext("{count} operation", "{count} operations", n),
    "patient": lambda n: ngettext("{count} patient", "{count} patients", n),
    "line": lambda n: ngettext("{count} line", "{count} lines", n),
    "file": lambda n: ngettext("{count} file", "{count} files", n),
    "row": lambda n: ngettext("{count} row", "{count} rows", n),
    "frame": lambda n: ngettext("{count} frame", "{count} frames", n),
    "item": lambda n: ngettext("{count} item", "{count} items", n),
    "value": lambda n: ngettext("{count} value", "{count} values", n),
}


def counted(count: int, noun: str) -> str:
    """``1 study``, ``1,204 studies``."""
    return _FORMS[noun](count).format(count=number(count))
