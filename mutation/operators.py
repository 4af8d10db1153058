"""Changes that mutmut does not make: statements left out, conditions turned round, tables, regular expressions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

SHORT = 2
"""Elements of the smallest table of which a row is dropped."""

_LOGGING = m.Call(func=m.Attribute(value=m.Name("logger")))
_TYPING = m.Call(func=m.OneOf(m.Name("cast"), m.Name("TypeVar"), m.Name("NewType")))
_FOR_TYPES = m.If(test=m.OneOf(m.Name("TYPE_CHECKING"), m.Attribute(attr=m.Name("TYPE_CHECKING"))))
_DOCSTRING = m.Expr(value=m.OneOf(m.SimpleString(), m.ConcatenatedString()))
_LOGGER = m.Assign(targets=[m.AssignTarget(target=m.OneOf(m.Name("logger"), m.Name("__all__")))])
_ENCODING = m.Arg(keyword=m.OneOf(m.Name("encoding"), m.Name("strict")))
_LEFT_ALONE = (
    *(cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.AssignTarget, cst.Assert, cst.Global),
    *(cst.FormattedString, cst.TypeAlias),
)
"""What is for readers, for types or for Python alone, or where every change is an error at once."""

_PATTERN_CHANGES = (
    *((r"\+", "*"), (r"(?<!\()\*", "+"), (r"(?<!\()\?(?![:=!<P])", ""), (r"\\d", r"\\D"), (r"\\s", r"\\S")),
    *((r"\\w", r"\\W"), (r"\[\^", "["), (r"\[(?!\^)", "[^"), (r"\^(?<!\[\^)", ""), (r"(?<!\\)\$", "")),
    *((r"\{\d+,\d*\}", "+"), (r"\|", ""), (r"\\Z", ""), (r"(?<!\\)\.", "x"), (r"\{(\d+)\}", "+")),
)
"""Pieces of a regular expression, and what each becomes."""


def is_left_alone(parent: cst.CSTNode, node: cst.CSTNode) -> bool:
    """Whether nothing in a node is changed: types, logging, documentation, names of targets."""
    if isinstance(node, _LEFT_ALONE) or m.matches(node, _LOGGING | _TYPING | _FOR_TYPES | _DOCSTRING | _LOGGER):
        return True
    if isinstance(parent, cst.For | cst.CompFor) and node is parent.target:
        return True
    return m.matches(node, _ENCODING) or (isinstance(node, cst.SimpleString) and _is_prose(node))


def _is_prose(node: cst.SimpleString) -> bool:
    """Messages: their words are for people, and each test would have to repeat them."""
    return " " in node.value and "r" not in node.prefix.lower()


def leave_out(node: cst.SimpleStatementLine) -> Iterator[cst.SimpleStatementLine]:
    """A call or an exception becomes nothing, a result becomes None."""
    if len(node.body) != 1:
        return
    (only,) = node.body
    if isinstance(only, cst.Raise | cst.Del | cst.Continue) or (
        isinstance(only, cst.Expr) and isinstance(only.value, cst.Call | cst.Await)
    ):
        yield node.with_changes(body=[cst.Pass()])
    elif isinstance(only, cst.Return) and only.value is not None and not m.matches(only.value, m.Name("None")):
        yield node.with_changes(body=[cst.Return(value=cst.Name("None"))])


def turn_round(node: cst.If | cst.CompIf) -> Iterator[cst.CSTNode]:
    """A condition becomes its opposite."""
    inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), inner), whitespace_before_test=cst.SimpleWhitespace(" "))


def drop_row(node: cst.List | cst.Tuple | cst.Set | cst.Dict) -> Iterator[cst.CSTNode]:
    """A table without one of its rows."""
    rows = node.elements
    if len(rows) > SHORT or (len(rows) == SHORT and not isinstance(node, cst.Tuple)):
        for index in range(len(rows)):
            yield node.with_changes(elements=[*rows[:index], *rows[index + 1 :]])


def drop_keyword(node: cst.Call) -> Iterator[cst.Call]:
    """A call that leaves an option at its default."""
    for index, argument in enumerate(node.args):
        if argument.keyword is not None and not m.matches(argument, _ENCODING):
            yield node.with_changes(args=[*node.args[:index], *node.args[index + 1 :]])


def raise_again(node: cst.ExceptHandler) -> Iterator[cst.ExceptHandler]:
    """An exception that is not handled."""
    if not m.matches(node.body, m.IndentedBlock(body=[m.SimpleStatementLine(body=[m.Raise(exc=None)])])):
        yield node.with_changes(body=cst.IndentedBlock([cst.SimpleStatementLine([cst.Raise()])]))


def change_pattern(node: cst.SimpleString) -> Iterator[cst.SimpleString]:
    """A regular expression, known by its raw string, with one piece that means something else."""
    if "r" not in node.prefix.lower():
        return
    start = len(node.prefix) + len(node.quote)
    text = node.value[start : -len(node.quote)]
    for piece, other in _PATTERN_CHANGES:
        for found in re.finditer(piece, text):
            changed = text[: found.start()] + other + text[found.end() :]
            value = node.value[:start] + changed + node.quote
            if _is_pattern(value):
                yield node.with_changes(value=value)


def _is_pattern(literal: str) -> bool:
    try:
        re.compile(ast.literal_eval(literal))
    except (re.error, SyntaxError, ValueError):
        return False
    return True


OWN_OPERATORS = [
    (cst.SimpleStatementLine, leave_out),
    (cst.If, turn_round),
    (cst.CompIf, turn_round),
    (cst.List, drop_row),
    (cst.Tuple, drop_row),
    (cst.Set, drop_row),
    (cst.Dict, drop_row),
    (cst.Call, drop_keyword),
    (cst.ExceptHandler, raise_again),
    (cst.SimpleString, change_pattern),
]
