"""Conditions of bindings, in the part of CEL that says something of a request's time and of a resource's name.

    request.time < timestamp("2030-01-01T00:00:00Z") && resource.name.startsWith("projects/p/locations/l/datasets/d")

Known are ``request.time``, ``resource.name``, ``resource.type``, ``resource.service``, strings, ``timestamp()``, the
comparisons, ``startsWith`` and ``endsWith``, ``&&``, ``||``, ``!``, parentheses, ``true`` and ``false``. Anything else
is refused when a policy is set: a condition that is not understood would otherwise let somebody in, or out.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from gantry.errors import InvalidArgument

MAX_CHARACTERS, MAX_DEPTH = 4096, 50
Value = str | bool | datetime


class Facts(NamedTuple):
    """What a condition is about. ``name`` is that of the resource, without a host."""

    time: datetime
    name: str
    type: str
    service: str = "healthcare.googleapis.com"


Check = Callable[[Facts], Any]
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)"""
    r"""|(?P<sign>&&|\|\||[<>=!]=|[<>!().,]))"""
)
_QUOTES = re.compile(r'\\.|"', re.DOTALL)
_AS_JSON = {"\\'": "'", '"': '\\"'}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FACTS: dict[str, tuple[type, Check]] = {
    "request.time": (datetime, lambda facts: facts.time),
    "resource.name": (str, lambda facts: facts.name),
    "resource.type": (str, lambda facts: facts.type),
    "resource.service": (str, lambda facts: facts.service),
    "true": (bool, lambda facts: True),
    "false": (bool, lambda facts: False),
}
_METHODS: dict[str, Callable[[str, str], bool]] = {"startsWith": str.startswith, "endsWith": str.endswith}


@lru_cache(maxsize=1000)
def parse_condition(expression: str) -> Callable[[Facts], bool]:
    """Raises InvalidArgument, which says what is not understood."""
    if len(expression) > MAX_CHARACTERS:
        raise InvalidArgument(f"condition: is longer than {MAX_CHARACTERS} characters")
    parser = _Parser(_tokens(expression))
    kind, check = parser.either(0)
    parser.end()
    if kind is not bool:
        raise InvalidArgument("condition: the expression is not true or false")
    return check


def _tokens(text: str) -> list[tuple[str, str]]:
    text = text.rstrip()
    found, at = [], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise InvalidArgument(f"condition: {text[at : at + 30].strip()!r} is not understood")
        found.append((str(token.lastgroup), token[str(token.lastgroup)]))
        at = token.end()
    return found


class _Parser:
    """Recursive descent. Each rule gives the type of a value and how it is come by."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at = tokens, 0

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise self._wrong()

    def either(self, depth: int) -> tuple[type, Check]:
        return self._joined("||", self._both, any, depth)

    def _both(self, depth: int) -> tuple[type, Check]:
        return self._joined("&&", self._negated, all, depth)

    def _joined(
        self, sign: str, rule: Callable[[int], tuple[type, Check]], combine: Callable[[Any], bool], depth: int
    ) -> tuple[type, Check]:
        kind, check = rule(depth)
        if not self._takes(sign):
            return kind, check
        checks = [self._truth(kind, check)]
        while True:
            checks.append(self._truth(*rule(depth)))
            if not self._takes(sign):
                return bool, lambda facts: combine(each(facts) for each in checks)

    def _negated(self, depth: int) -> tuple[type, Check]:
        if self._takes("!"):
            check = self._truth(*self._negated(self._deeper(depth)))
            return bool, lambda facts: not check(facts)
        return self._compared(depth)

    def _compared(self, depth: int) -> tuple[type, Check]:
        kind, left = self._operand(depth)
        sign = self._sign()
        if sign not in _COMPARE:
            return kind, left
        self._at += 1
        other, right = self._operand(depth)
        if kind is not other or (kind is bool and sign not in ("==", "!=")):
            raise InvalidArgument(f"condition: {sign} compares values of different kinds, or without an order")
        compare = _COMPARE[sign]
        return bool, lambda facts: compare(left(facts), right(facts))

    def _operand(self, depth: int) -> tuple[type, Check]:
        if self._takes("("):
            kind, check = self.either(self._deeper(depth))
            self._must(")")
            return kind, check
        group, text = self._next()
        if group == "string":
            value = _unquote(text)
            return str, lambda facts: value
        if text == "timestamp":
            return datetime, self._moment()
        if text in _FACTS:
            return _FACTS[text]
        name, _, method = text.rpartition(".")
        if name in _FACTS and _FACTS[name][0] is str and method in _METHODS:
            return bool, self._called(_FACTS[name][1], _METHODS[method])
        self._at -= 1
        raise self._wrong()

    def _called(self, subject: Check, method: Callable[[str, str], bool]) -> Check:
        text = self._argument()
        return lambda facts: method(subject(facts), text)

    def _moment(self) -> Check:
        text = self._argument()
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):  # 0001-01-01T00:00:00+05:00 is in the year before the first
            raise InvalidArgument(f"condition: {text[:50]!r} is no time like 2030-01-01T00:00:00Z") from None
        return lambda facts: moment

    def _argument(self) -> str:
        self._must("(")
        group, text = self._next()
        if group != "string":
            self._at -= 1
            raise self._wrong()
        self._must(")")
        return _unquote(text)

    def _truth(self, kind: type, check: Check) -> Check:
        if kind is not bool:
            raise InvalidArgument("condition: &&, || and ! want what is true or false on both sides")
        return check

    def _deeper(self, depth: int) -> int:
        if depth >= MAX_DEPTH:
            raise InvalidArgument(f"condition: is nested deeper than {MAX_DEPTH} levels")
        return depth + 1

    def _sign(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _takes(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _must(self, sign: str) -> None:
        if not self._takes(sign):
            raise self._wrong()

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._wrong()
        self._at += 1
        return self._tokens[self._at - 1]

    def _wrong(self) -> InvalidArgument:
        where = f"{self._sign()[:50]!r}" if self._at < len(self._tokens) else "the end"
        known = ", ".join(sorted(_FACTS.keys() - {"true", "false"}))
        return InvalidArgument(
            f"condition: {where} is not understood there; known are {known}, timestamp(), startsWith, endsWith, "
            "comparisons, &&, || and !"
        )


def _unquote(text: str) -> str:
    """Escapes are those of JSON, and that of a single quote. Raises InvalidArgument."""
    inner = _QUOTES.sub(lambda found: _AS_JSON.get(found[0], found[0]), text[1:-1])
    try:
        return str(json.loads(f'"{inner}"'))
    except ValueError:
        raise InvalidArgument(f"condition: {text[:50]} is no string") from None
