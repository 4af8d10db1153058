"""Expressions that DuckDB computes otherwise than BigQuery, made to mean what they mean there, or refused. Needs
``tables``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from gantry.errors import InvalidArgument

_SPACES = "".join(
    map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
)
"""White space of Unicode."""
_FORMAT = re.compile(r"(?:[^%]|%%|%[-+ 0#]*[0-9]*(?:\.[0-9]+)?[doxXfFeEgGs])*", re.DOTALL)
_DAYS = {"DAY", "WEEK", "ISOWEEK", "MONTH", "QUARTER", "YEAR", "ISOYEAR"}
_HOURS = {"MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY"}
_SAME_PARTS = {"YEAR", "ISOYEAR", "QUARTER", "MONTH", "DAY", "DAYOFYEAR", "HOUR", "MINUTE", "SECOND"}
_FRACTIONS = {"MILLISECOND": 1000, "MICROSECOND": 1_000_000}
_DECIMALS = {exp.DType.DECIMAL: "DECIMAL(38, 9)", exp.DType.BIGDECIMAL: "DECIMAL(38, 18)"}


def keep_meanings(tree: exp.Query) -> None:
    """Raises InvalidArgument for what would silently be something else."""
    for node in reversed(list(tree.walk())):  # what is inside of others comes first: it is copied with them
        keep = _KEEPERS.get(type(node))
        if keep is not None:
            keep(node)


def _call(name: str, *values: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[value.copy() for value in values])


def _number(value: int) -> exp.Expr:
    return exp.Literal.number(value)


def _is_number(node: Any) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string


def _cast_to(kind: str) -> Callable[[Any], None]:
    def cast(node: Any) -> None:
        node.replace(exp.Cast(this=node.copy(), to=exp.DataType.build(kind, dialect="bigquery")))

    return cast


def _unit_of(node: Any) -> str:
    unit = node.args.get("unit")
    return unit.name.upper() if unit is not None else "DAY"


def _keep_date(node: Any) -> None:
    """In DuckDB they are timestamps."""
    unit = _unit_of(node)
    if isinstance(node.args.get("unit"), exp.Var | exp.Literal) and unit not in _DAYS:
        raise InvalidArgument(f"{unit} is no part of a DATE: use the function of TIMESTAMP or DATETIME")
    _cast_to("DATE")(node)


def _guard_division(node: Any) -> None:
    """An error, as in BigQuery. DuckDB says infinity, or NULL."""
    divisor = node.args["expression"]
    if _is_number(divisor) and float(divisor.this) != 0:
        return
    failure = _call("_DIVISION_BY_ZERO", divisor)
    is_zero = exp.EQ(this=exp.Paren(this=divisor.copy()), expression=_number(0))
    divisor.replace(exp.Case(ifs=[exp.If(this=is_zero, true=failure)], default=divisor.copy()))


def _keep_literal(node: Any) -> None:
    """FLOAT64: for DuckDB it is a DECIMAL."""
    if not node.is_string and "." in node.this and "e" not in node.this.lower():
        node.set("this", f"{node.this}e0")


def _widen(node: Any) -> None:
    """Numbers are INT64: DuckDB has smaller ones, which overflow. Days are added to a DATE as they are."""
    sides = [node.this, node.args["expression"]]
    if isinstance(node, exp.Mul | exp.BitwiseLeftShift) or all(map(_is_number, sides)):
        for side in sides[:1] if isinstance(node, exp.BitwiseLeftShift) else sides:
            if _is_number(side) and side.this.isdecimal():
                _cast_to("INT64")(side)


def _keep_cast(node: Any) -> None:
    kind, is_safe = node.to.this, isinstance(node, exp.TryCast)
    if kind in _DECIMALS and not node.to.expressions:
        node.set("to", exp.DataType.build(_DECIMALS[kind], dialect="duckdb"))
    elif kind == exp.DType.BIGINT:
        node.replace(_call("_TRY_INT64" if is_safe else "_INT64", node.this))
    elif kind in (exp.DType.TEXT, exp.DType.VARCHAR) and not node.to.expressions:
        node.replace(_call("_STRING", node.this))
    elif kind in (exp.DType.BINARY, exp.DType.VARBINARY):
        node.replace(_call("ENCODE", node.this))


def _keep_bracket(node: Any) -> None:
    """From 0 on; a column as an index, too."""
    index = node.expressions[0]
    if len(node.expressions) != 1 or (isinstance(index, exp.Literal) and index.is_string):
        return
    if node.args.get("offset") == 1:
        index = exp.Sub(this=exp.Paren(this=index.copy()), expression=_number(1))
    node.replace(exp.Paren(this=_call("_AT", node.this, index)))


def _keep_like(node: Any) -> None:
    """A backslash takes the meaning from ``%`` and ``_``."""
    pattern = node.args["expression"]
    if isinstance(pattern, exp.Literal) and "\\" not in pattern.this:
        return
    if isinstance(pattern, exp.Any | exp.All):
        texts = [each for each in pattern.this.walk() if not isinstance(each, exp.Paren | exp.Tuple)]
        if not all(isinstance(each, exp.Literal) and "\\" not in each.this for each in texts):
            raise InvalidArgument("LIKE ANY and LIKE ALL take texts without a backslash here")
        return
    is_negated = node.args.get("negate")
    plain = exp.Like(this=node.this.copy(), expression=pattern.copy())
    found: exp.Expr = exp.Escape(this=plain, expression=exp.Literal.string("\\"))
    node.replace(exp.Paren(this=exp.Not(this=found) if is_negated else found))


def _keep_extract(node: Any) -> None:
    unit, of = node.this.name.upper(), node.args["expression"]
    if unit == "DAYOFWEEK":
        node.replace(exp.Paren(this=exp.Add(this=node.copy(), expression=_number(1))))
    elif unit == "WEEK":  # weeks begin on Sunday, days before the first one are in week 0
        node.replace(_call("_WEEK", of))
    elif unit == "ISOWEEK":
        node.set("this", exp.var("WEEK"))
    elif unit in _FRACTIONS:
        node.replace(exp.Paren(this=exp.Mod(this=node.copy(), expression=_number(_FRACTIONS[unit]))))
    elif unit not in _SAME_PARTS:
        raise InvalidArgument(f"EXTRACT({unit[:50]} …) cannot be used here")


def _keep_difference(node: Any) -> None:
    """Of TIMESTAMP: whole intervals. Those of DATE and DATETIME are boundaries, as in DuckDB."""
    unit = _unit_of(node)
    if unit not in _HOURS:
        raise InvalidArgument(f"TIMESTAMP_DIFF: {unit[:50]} is no part of it")
    node.replace(_call("DATE_SUB", exp.Literal.string(unit), node.args["expression"], node.this))


def _require_format(node: Any) -> None:
    """What is refused would be left out, or taken for something else."""
    zone, form = node.args.get("zone"), node.args.get("format")
    if zone is not None and zone.name.upper() != "UTC":
        raise InvalidArgument("only UTC can be the time zone of a text here")
    if not isinstance(form, exp.Literal | exp.RawString) or re.search("%[Zz]", form.this):
        raise InvalidArgument("the format of a date or time must be a text without %Z and %z here")


def _keep_parsed(node: Any) -> None:
    _require_format(node)
    _cast_to("TIMESTAMP")(node)


def _keep_format(node: Any) -> None:
    text = node.this
    if not isinstance(text, exp.Literal | exp.RawString) or not _FORMAT.fullmatch(text.this):
        raise InvalidArgument("FORMAT takes a text with %d, %o, %x, %f, %e, %g, %s and %% here")
    node.replace(_call("PRINTF", text, *node.expressions))


def _keep_concat(node: Any) -> None:
    """NULL with one that is NULL."""
    tests = [exp.Is(this=exp.Paren(this=each.copy()), expression=exp.null()) for each in (node.this, *node.expressions)]
    node.replace(exp.Case(ifs=[exp.If(this=exp.or_(*tests), true=exp.null())], default=node.copy()))


def _keep_length(node: Any) -> None:
    """An array in a table is never NULL: where there is nothing it is empty."""
    if isinstance(node.this, exp.Column | exp.Dot):
        node.replace(exp.Coalesce(this=node.copy(), expressions=[_number(0)]))


def _keep_trim(node: Any) -> None:
    if node.args.get("expression") is None:
        node.set("expression", exp.Literal.string(_SPACES))


def _keep_part(node: Any) -> None:
    length = node.args.get("length")
    more = () if length is None else (length,)
    node.replace(_call("_SUBSTR_OF" if more else "_SUBSTR", node.this, node.args["start"], *more))


def _keep_end(node: Any) -> None:
    if not _is_number(node.args["expression"]):
        node.set("expression", _call("_COUNT", node.args["expression"]))


_KEEPERS: dict[type[exp.Expr], Callable[[Any], None]] = {
    **dict.fromkeys((exp.Div, exp.IntDiv, exp.Mod), _guard_division),
    **dict.fromkeys((exp.DateAdd, exp.DateSub, exp.DateTrunc), _keep_date),
    **dict.fromkeys((exp.Mul, exp.Add, exp.Sub, exp.BitwiseLeftShift), _widen),
    **dict.fromkeys((exp.Cast, exp.TryCast), _keep_cast),
    **dict.fromkeys((exp.TimeToStr, exp.StrToDate, exp.ParseDatetime), _require_format),
    **dict.fromkeys((exp.Left, exp.Right), _keep_end),
    exp.UnixToTime: _cast_to("TIMESTAMP"),
    exp.StrToTime: _keep_parsed,
    exp.Length: lambda node: node.replace(_call("LENGTH", node.this)),
    exp.ByteLength: lambda node: node.replace(_call("STRLEN", node.this)),
    exp.Literal: _keep_literal,
    exp.Bracket: _keep_bracket,
    exp.Like: _keep_like,
    exp.Extract: _keep_extract,
    exp.TimestampDiff: _keep_difference,
    exp.UnixSeconds: lambda node: node.replace(_call("_UNIX", node.this, _number(1_000_000))),
    exp.UnixMillis: lambda node: node.replace(_call("_UNIX", node.this, _number(1000))),
    exp.Format: _keep_format,
    exp.ArrayConcat: _keep_concat,
    exp.ArraySize: _keep_length,
    exp.Trim: _keep_trim,
    exp.Substring: _keep_part,
    exp.JSONFormat: lambda node: node.replace(exp.Coalesce(this=node.copy(), expressions=[exp.Literal.string("null")])),
}
