"""Expressions that DuckDB computes otherwise than BigQuery, made to mean what they mean there. Needs ``tables``."""

from __future__ import annotations

from sqlglot import exp

DIVISION_BY_ZERO = "division by zero"


def keep_meanings(tree: exp.Query) -> None:
    for node in list(tree.walk()):
        if isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
            _guard_division(node)
        elif isinstance(node, exp.DateAdd | exp.DateSub | exp.DateTrunc):
            _cast(node, "DATE")  # in DuckDB they are timestamps
        elif isinstance(node, exp.UnixToTime | exp.StrToTime):
            _cast(node, "TIMESTAMP")
        elif isinstance(node, exp.Length):
            node.replace(exp.Anonymous(this="LENGTH", expressions=[node.this.copy()]))
        elif isinstance(node, exp.ByteLength):
            node.replace(exp.Anonymous(this="STRLEN", expressions=[node.this.copy()]))
        elif isinstance(node, exp.Literal) and not node.is_string and "." in node.this and "e" not in node.this.lower():
            node.set("this", f"{node.this}e0")  # FLOAT64: for DuckDB it is a DECIMAL


def _cast(node: exp.Expr, kind: str) -> None:
    node.replace(exp.Cast(this=node.copy(), to=exp.DataType.build(kind, dialect="bigquery")))


def _guard_division(node: exp.Expr) -> None:
    """An error, as in BigQuery. DuckDB says infinity, or NULL."""
    divisor = node.args["expression"]
    if isinstance(divisor, exp.Literal) and divisor.this.strip("0.") != "":
        return
    failure = exp.Anonymous(this="ERROR", expressions=[exp.Literal.string(DIVISION_BY_ZERO)])
    is_zero = exp.EQ(this=exp.Paren(this=divisor.copy()), expression=exp.Literal.number(0))
    divisor.replace(exp.Case(ifs=[exp.If(this=is_zero, true=failure)], default=divisor.copy()))
