"""The tree of a query made fit for DuckDB: its tables, its names and its parameters. Needs the extra ``tables``.

Nothing but what ``Scope`` has found is named in the result: tables are views ``_t0``, ``_t1``…, and names of WITH begin
with ``_q_``, so that none of them is one of DuckDB's catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from gantry.errors import InvalidArgument
from gantry.query_seams import Field, Parameter
from gantry.storage.sql.catalogue import FoundTable
from gantry.storage.sql.meanings import keep_meanings
from gantry.table_address import TableAddress

_QUERY = "_q_"
_PARAMETER_TYPE = re.compile(r"(?:ARRAY<\s*)?([A-Z0-9]+)(?:\s*>)?")
_PARAMETER_TYPES = (
    *("STRING", "INT64", "INTEGER", "FLOAT64", "FLOAT", "BOOL", "BOOLEAN", "NUMERIC", "BIGNUMERIC", "JSON"),
    *("DATE", "TIME", "DATETIME", "TIMESTAMP"),
)
Find = Callable[[TableAddress], FoundTable]


class Lowered(NamedTuple):
    """``sql`` for DuckDB; ``tables`` in the order of their views."""

    sql: str
    tables: tuple[FoundTable, ...]


def lower(
    tree: exp.Query,
    project: str,
    dataset: tuple[str, str] | None,
    parameters: Sequence[Parameter],
    find: Find,
) -> Lowered:
    """``find`` is asked for each table once. Raises InvalidArgument, and what ``find`` raises."""
    _set_parameters(tree, parameters)
    names = _Names(project, dataset, find)
    for node in list(tree.find_all(exp.Table)):
        names.resolve(node)
    for number, unnest in enumerate(list(tree.find_all(exp.Unnest))):
        if isinstance(unnest.parent, exp.From | exp.Join):
            _lower_unnest(unnest, names, f"_u{number}")
    for cte in tree.find_all(exp.CTE):
        cte.args["alias"].set("this", exp.to_identifier(_QUERY + cte.alias.lower()))
    _name_columns(tree)
    keep_meanings(tree)
    return Lowered(_write(tree), tuple(found for _, found in names.views.values()))


def _write(tree: exp.Query) -> str:
    try:
        return tree.sql("duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except RecursionError:
        raise InvalidArgument("the query is nested too deeply") from None
    except (SqlglotError, ValueError, TypeError, AttributeError, KeyError):
        raise InvalidArgument("the query uses something of GoogleSQL that this server does not have") from None


# --- tables


class _Names:
    """The tables of a query. ``views``: address → the name of its view, and what was found."""

    def __init__(self, project: str, dataset: tuple[str, str] | None, find: Find) -> None:
        self._project, self._dataset, self._find = project, dataset, find
        self.views: dict[TableAddress, tuple[str, FoundTable]] = {}
        self.of_nodes: dict[int, FoundTable | exp.CTE] = {}

    def resolve(self, node: exp.Table) -> None:
        """Let it name its view, or the part of WITH that it names."""
        alias = node.alias or node.name
        if not isinstance(node.this, exp.Identifier):
            raise InvalidArgument("only tables, UNNEST and parts of WITH can stand behind FROM: functions cannot")
        if not node.db and (cte := _find_cte(node)) is not None:
            self.of_nodes[id(node)] = cte
            name = _QUERY + node.name.lower()
        else:
            address = self._read(node)
            if address not in self.views:
                self.views[address] = (f"_t{len(self.views)}", self._find(address))
            name, found = self.views[address]
            self.of_nodes[id(node)] = found
            alias = node.alias or address.table
        joins, pivots = node.args.get("joins"), node.args.get("pivots")
        node.args.clear()
        node.set("this", exp.to_identifier(name))
        node.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        if joins:
            node.set("joins", joins)
        if pivots:
            raise InvalidArgument("PIVOT and UNPIVOT cannot be used here")

    def _read(self, node: exp.Table) -> TableAddress:
        parts = [part for part in (node.catalog, node.db, node.name) if part]
        if len(parts) == 2:
            parts = [self._dataset[0] if self._dataset and parts[0] == self._dataset[1] else self._project, *parts]
        elif len(parts) == 1 and self._dataset is not None:
            parts = [*self._dataset, *parts]
        shown = ".".join(parts)[:200]
        if len(parts) != 3:
            raise InvalidArgument(f"Table {shown!r} must be qualified with a dataset (e.g. dataset.table)")
        try:
            return TableAddress.parse("bq://" + ".".join(parts))
        except InvalidArgument:
            raise InvalidArgument(f"{shown!r} is no name of a table: write `PROJECT.DATASET.TABLE`") from None


def _find_cte(node: exp.Expr) -> exp.CTE | None:
    """The part of WITH that a table names, in the queries around it."""
    name, above = node.name.lower(), node.parent
    while above is not None:
        found = above.args.get("with_")
        for cte in found.expressions if isinstance(found, exp.With) else ():
            if isinstance(cte, exp.CTE) and cte.alias.lower() in (name, _QUERY + name):
                return cte
        above = above.parent
    return None


# --- UNNEST


def _lower_unnest(unnest: exp.Unnest, names: _Names, other_name: str) -> None:
    """A subquery with a row for each item. Fields of records become columns, so that they can be named without the
    alias, as in GoogleSQL. ``other_name`` is its own where GoogleSQL has none, or where it names the column."""
    if len(unnest.expressions) != 1:
        raise InvalidArgument("UNNEST takes one array")
    array, alias = unnest.expressions[0], unnest.args.get("alias")
    name = alias.columns[0] if alias is not None and alias.columns else None
    offset = unnest.args.get("offset")
    is_record = _is_record(array, unnest, names)
    items: exp.Expr = exp.Anonymous(this="UNNEST", expressions=[array.copy(), *([_depth()] if is_record else [])])
    if not is_record:
        items = exp.alias_(items, name.copy() if name is not None else "_unnested", quoted=True)
    selected = [items]
    if offset:
        numbers = exp.Anonymous(this="GENERATE_SUBSCRIPTS", expressions=[array.copy(), exp.Literal.number(1)])
        label = offset.copy() if isinstance(offset, exp.Identifier) else "offset"
        selected.append(exp.alias_(exp.Sub(this=numbers, expression=exp.Literal.number(1)), label, quoted=True))
    table = name.copy() if name is not None and is_record else exp.to_identifier(other_name)
    made = exp.Subquery(this=exp.Select(expressions=selected), alias=exp.TableAlias(this=table))
    unnest.replace(made)
    if isinstance(made.parent, exp.Join) and not made.parent.args.get("on") and made.parent.args.get("side"):
        made.parent.set("on", exp.true())


def _depth() -> exp.Expr:
    return exp.PropertyEQ(this=exp.to_identifier("max_depth"), expression=exp.Literal.number(2))


def _is_record(array: exp.Expr, at: exp.Expr, names: _Names) -> bool:
    if isinstance(array, exp.Array):
        return bool(array.expressions) and isinstance(array.expressions[0].unalias(), exp.Struct)
    found = _find_field(array, at, names, 0)
    return found is not None and found.type == "RECORD"


_MOST_STEPS = 12
"""Parts of WITH that a column is looked for in, one in the other."""


def _find_field(node: exp.Expr, at: exp.Expr, names: _Names, depth: int) -> Field | None:
    """What a column is in its table; None where that cannot be told."""
    path = _path_of(node)
    if not path or depth > _MOST_STEPS:
        return None
    select = at.find_ancestor(exp.Select)
    while select is not None:
        for alias, columns in _list_sources(select, at, names, depth):
            for tail in ([path[1:]] if path[0].lower() == alias.lower() and len(path) > 1 else []) + [path]:
                if (found := _walk(columns, tail)) is not None:
                    return found
        select = select.find_ancestor(exp.Select)
    return None


def _path_of(node: exp.Expr) -> list[str]:
    if isinstance(node, exp.Dot):
        head = _path_of(node.this)
        return [*head, node.expression.name] if head else []
    return [part.name for part in node.parts] if isinstance(node, exp.Column) else []


def _walk(columns: Sequence[Field], path: Sequence[str]) -> Field | None:
    found: Field | None = None
    for name in path:
        found = next((each for each in columns if each.name.lower() == name.lower()), None)
        if found is None:
            return None
        columns = found.fields
    return found


def _list_sources(select: exp.Select, at: exp.Expr, names: _Names, depth: int) -> Iterator[tuple[str, Sequence[Field]]]:
    """The tables of a query with their columns."""
    joins = select.args.get("joins") or ()
    start = select.args.get("from_")
    around = {id(each) for each in _climb(at)}
    for source in [each.this for each in ((start, *joins) if start is not None else joins)]:
        if id(source) in around:
            return  # it does not see itself, and what comes behind it
        if isinstance(source, exp.Table):
            yield source.alias, _columns_of(names.of_nodes.get(id(source)), names, depth)
        elif isinstance(source, exp.Subquery):
            yield source.alias, _output_of(source.this, names, depth)


def _climb(node: exp.Expr | None) -> Iterator[exp.Expr]:
    while node is not None:
        yield node
        node = node.parent


def _columns_of(found: FoundTable | exp.CTE | None, names: _Names, depth: int) -> Sequence[Field]:
    if isinstance(found, exp.CTE):
        return _output_of(found.this, names, depth)
    return found.info.fields if found is not None else ()


def _output_of(query: exp.Expr, names: _Names, depth: int) -> Sequence[Field]:
    """The columns of a part of WITH, or of a subquery, as far as they are those of tables."""
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select) or depth > _MOST_STEPS:
        return ()
    found: list[Field] = []
    for each in query.expressions:
        if isinstance(each, exp.Star):
            for _, columns in _list_sources(query, each, names, depth + 1):
                found += columns
        elif isinstance(each, exp.Anonymous) and each.name == "UNNEST":
            inner = _find_field(each.expressions[0], each, names, depth + 1)
            found += inner.fields if inner is not None else ()
        elif (inner := _find_field(each.unalias(), each, names, depth + 1)) is not None:
            found.append(inner._replace(name=each.alias_or_name))
    return found


# --- names of columns, and parameters


def _name_columns(tree: exp.Query) -> None:
    """Columns without a name are ``f0_``, ``f1_``…, as in BigQuery."""
    query: exp.Expr = tree
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select):
        return
    if query.args.get("kind"):
        raise InvalidArgument("SELECT AS STRUCT and SELECT AS VALUE can stand in subqueries alone")
    count = 0
    for each in query.expressions:
        if isinstance(each, exp.Alias | exp.Star) or each.is_star:
            continue
        name = each.name if isinstance(each, exp.Column | exp.Dot) else ""
        if not name:
            name, count = f"f{count}_", count + 1
        each.replace(exp.alias_(each.copy(), name, quoted=True))


def _set_parameters(tree: exp.Query, parameters: Sequence[Parameter]) -> None:
    """Their values take the place of ``@name`` and ``?``."""
    named = {each.name.lower(): each for each in parameters if each.name}
    others = iter([each for each in parameters if not each.name])
    for node in list(tree.find_all(exp.Parameter, exp.Placeholder)):
        name = node.name.lower().strip("?")
        found = named.get(name) if name else next(others, None)
        if found is None:
            raise InvalidArgument(f"Query parameter {('@' + name[:100]) if name else '?'} has no value")
        node.replace(_make_value(found))


def _make_value(parameter: Parameter) -> exp.Expr:
    match = _PARAMETER_TYPE.fullmatch(parameter.type.strip().upper())
    if match is None or match[1] not in _PARAMETER_TYPES:
        raise InvalidArgument(f"parameter {parameter.name[:100]}: parameters of this type cannot be used here")
    kind = exp.DataType.build(match[1], dialect="bigquery")
    if isinstance(parameter.value, list):
        return exp.Array(expressions=[_cast(each, kind) for each in parameter.value])
    return _cast(parameter.value, kind)


def _cast(value: str | None, kind: exp.DataType) -> exp.Expr:
    literal = exp.null() if value is None else exp.Literal.string(value)
    return exp.Cast(this=literal, to=kind.copy())
