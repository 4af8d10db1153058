"""The filter languages of the API's lists, as far as the API documents them."""

from __future__ import annotations

import re
from collections.abc import Callable

from gantry.errors import invalid_field

_TOKEN = re.compile(r'\s*(?:(AND|OR|NOT)\b|labels\.([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"()]+)))')
_TERM = re.compile(r'\s*([\w.]+)\s*=\s*(?:"([^"]*)"|([^\s"]+))\s*(?:AND\b|$)')

LabelFilter = Callable[[dict[str, str]], bool]


def parse_label_filter(text: str) -> LabelFilter:
    """``[NOT] labels.KEY=VALUE`` joined by ``AND`` and ``OR`` (``AND`` binds tighter). Raises InvalidArgument."""
    alternatives: list[list[tuple[str, str, bool]]] = [[]]
    negated, expect_term, position = False, True, 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        word = match.group(1) if match else None
        if match is None or expect_term == (word in ("AND", "OR")):
            raise _bad(text)
        if word == "NOT":
            negated = not negated
        elif word is None:
            alternatives[-1].append((match.group(2), _value(match), not negated))
            negated, expect_term = False, False
        else:
            expect_term = True
            if word == "OR":
                alternatives.append([])
        position = match.end()
    if expect_term and text:
        raise _bad(text)
    return lambda labels: any(
        all((labels.get(key) == value) == wanted for key, value, wanted in terms) for terms in alternatives
    )


def parse_terms(text: str, fields: tuple[str, ...]) -> dict[str, str]:
    """``field=value`` joined by ``AND``, each field at most once. Raises InvalidArgument for other fields."""
    values: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip()):
        match = _TERM.match(text, position)
        if match is None or match.group(1) not in fields or match.group(1) in values:
            raise invalid_field("filter", f"{text!r}: use {' AND '.join(f'{field}=VALUE' for field in fields)}")
        values[match.group(1)] = match.group(2) if match.group(2) is not None else match.group(3)
        position = match.end()
    if text.rstrip().endswith(" AND"):
        raise invalid_field("filter", f"{text!r} ends with AND")
    return values


def _value(match: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", match.group(3)) if match.group(3) is not None else match.group(4)


def _bad(text: str) -> Exception:
    return invalid_field("filter", f"{text!r}: use labels.KEY=VALUE, joined by AND, OR and NOT")
