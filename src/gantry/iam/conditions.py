"""Conditions of bindings: the part of CEL about the time of a request and the name of a resource.

    request.time < timestamp("2030-01-01T00:00:00Z") && resource.name.startsWith("projects/p/locations/l/datasets/d")

Supported are ``request.time``, ``resource.name``, ``resource.type``, ``resource.service``, strings, ``timestamp()``,
comparisons, ``startsWith`` and ``endsWith``, ``&&``, ``||``, ``!``, parentheses, ``true`` and ``false``. Anything else
is refused when a policy is set: a condition that is misread would grant or deny access by mistake.
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

MAX_CHARACTERS, MAX_DEPTH = 4096, 50  # characters as in Cloud IAM; 50 levels need no deep recursion
Value = str | bool | datetime


class Facts(NamedTuple):
    """The values that a condition can use. ``name`` is the resource name, without a host."""

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
    """Raises InvalidArgument, which names the part that is not supported."""
    if len(expression) > MAX_CHARACTERS:
        raise InvalidArgument(f"condition: is longer than {MAX_CHARACTERS} characters")
    parser = _Parser(_tokenize(expression))
    kind, check = parser.parse_or(0)
    parser.require_end()
    if kind is not bool:
        raise InvalidArgument("condition: the expression is not true or false")
    return check


def _tokenize(text: str) -> list[tuple[str, str]]:
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
    """Recursive descent. Each rule returns the type of a value and the function that computes it."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at = tokens, 0

    def require_end(self) -> None:
        if self._at < len(self._tokens):
            raise self._describe_error()

    def parse_or(self, depth: int) -> tuple[type, Check]:
        return self._parse_chain("||", self._parse_and, any, depth)

    def _parse_and(self, depth: int) -> tuple[type, Check]:
        return self._parse_chain("&&", self._parse_not, all, depth)

    def _parse_chain(
        self, sign: str, rule: Callable[[int], tuple[type, Check]], combine: Callable[[Any], bool], depth: int
    ) -> tuple[type, Check]:
        kind, check = rule(depth)
        if not self._accept(sign):
            return kind, check
        checks = [self._require_bool(kind, check)]
        while True:
            checks.append(self._require_bool(*rule(depth)))
            if not self._accept(sign):
                return bool, lambda facts: combine(each(facts) for each in checks)

    def _parse_not(self, depth: int) -> tuple[type, Check]:
        if self._accept("!"):
            check = self._require_bool(*self._parse_not(self._nest(depth)))
            return bool, lambda facts: not check(facts)
        return self._parse_comparison(depth)

    def _parse_comparison(self, depth: int) -> tuple[type, Check]:
        kind, left = self._parse_operand(depth)
        sign = self._peek()
        if sign not in _COMPARE:
            return kind, left
        self._at += 1
        other, right = self._parse_operand(depth)
        if kind is not other or (kind is bool and sign not in ("==", "!=")):
            raise InvalidArgument(f"condition: {sign} cannot compare these values: their types differ or have no order")
        compare = _COMPARE[sign]
        return bool, lambda facts: compare(left(facts), right(facts))

    def _parse_operand(self, depth: int) -> tuple[type, Check]:
        if self._accept("("):
            kind, check = self.parse_or(self._nest(depth))
            self._expect(")")
            return kind, check
        group, text = self._take()
        if group == "string":
            value = _unquote(text)
            return str, lambda facts: value
        if text == "timestamp":
            return datetime, self._parse_timestamp()
        if text in _FACTS:
            return _FACTS[text]
        name, _, method = text.rpartition(".")
        if name in _FACTS and _FACTS[name][0] is str and method in _METHODS:
            return bool, self._parse_call(_FACTS[name][1], _METHODS[method])
        self._at -= 1
        raise self._describe_error()

    def _parse_call(self, subject: Check, method: Callable[[str, str], bool]) -> Check:
        text = self._parse_argument()
        return lambda facts: method(subject(facts), text)

    def _parse_timestamp(self) -> Check:
        text = self._parse_argument()
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):  # 0001-01-01T00:00:00+05:00 is in the year before the first
            raise InvalidArgument(f"condition: {text[:50]!r} is not a time like 2030-01-01T00:00:00Z") from None
        return lambda facts: moment

    def _parse_argument(self) -> str:
        self._expect("(")
        group, text = self._take()
        if group != "string":
            self._at -= 1
            raise self._describe_error()
        self._expect(")")
        return _unquote(text)

    def _require_bool(self, kind: type, check: Check) -> Check:
        if kind is not bool:
            raise InvalidArgument("condition: &&, || and ! need operands that are true or false")
        return check

    def _nest(self, depth: int) -> int:
        if depth >= MAX_DEPTH:
            raise InvalidArgument(f"condition: is nested deeper than {MAX_DEPTH} levels")
        return depth + 1

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _accept(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise self._describe_error()

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._describe_error()
        self._at += 1
        return self._tokens[self._at - 1]

    def _describe_error(self) -> InvalidArgument:
        where = f"{self._peek()[:50]!r}" if self._at < len(self._tokens) else "the end"
        known = ", ".join(sorted(_FACTS.keys() - {"true", "false"}))
        return InvalidArgument(
            f"condition: {where} is not supported here; supported are {known}, timestamp(), startsWith, endsWith, "
            "comparisons, &&, || and !"
        )


def _unquote(text: str) -> str:
    """Escapes are those of JSON and ``\\'``. Raises InvalidArgument."""
    inner = _QUOTES.sub(lambda found: _AS_JSON.get(found[0], found[0]), text[1:-1])
    try:
        return str(json.loads(f'"{inner}"'))
    except ValueError:
        raise InvalidArgument(f"condition: {text[:50]} is not a string") from None
