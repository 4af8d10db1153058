"""The text of a query to a checked tree. Needs the extra ``tables``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from gantry.errors import InvalidArgument
from gantry.storage.sql.functions import ALLOWED, LEGACY

MAX_TEXT = 1 << 20
"""Characters of a query, as in BigQuery."""

_BRACKETED = re.compile(r"\[((?:[a-zA-Z0-9.-]+:)?[\w-]+(?:[.:][\w -]+){1,2})\]")
_HINT = re.compile(r"\s*#(legacy|standard)SQL\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_OPAQUE = re.compile(
    r"""(?P<skip>[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|`[^`]*`|(?:--|\#)[^\n]*|/\*.*?\*/)""",
    re.DOTALL,
)
_FROM = re.compile(r"(?:\b(?:FROM|JOIN)|,)\s*$", re.IGNORECASE)
_WRITES = (exp.DDL, exp.DML, exp.Command, exp.Set, exp.Use, exp.Drop, exp.Alter, exp.TruncateTable, exp.Merge)
_SESSION = ("CurrentUser", "SessionUser", "CurrentCatalog", "CurrentSchema", "CurrentSchemas", "CurrentRole")
_REFUSED: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Pivot, "PIVOT and UNPIVOT"),
    (exp.TableSample, "TABLESAMPLE"),
    (exp.Version, "FOR SYSTEM_TIME AS OF"),
    (exp.SessionParameter, "system variables (@@…)"),
    (exp.Into, "INTO"),
    (exp.Lock, "FOR UPDATE"),
    (exp.Anonymous, "this function"),
    (exp.Lateral, "LATERAL"),
    (exp.Values, "VALUES"),
    (exp.ModelAttribute, "models"),
    *((getattr(exp, name), "names of users and schemas") for name in _SESSION if hasattr(exp, name)),
)
_ONLY = "only a single SELECT, with or without WITH, can be run: tables are written by exports of metadata alone"


def parse(text: str, is_legacy: bool) -> exp.Query:
    """The tree of a single SELECT that calls nothing but what is allowed. Raises InvalidArgument that names the line
    and the column of the text."""
    if len(text) > MAX_TEXT:
        raise InvalidArgument(f"the query has more than {MAX_TEXT:,} characters")
    if (hint := _HINT.match(text)) is not None:
        is_legacy = hint[1].lower() == "legacy"
    found = _tokenize(unbracket(text))
    _check_calls(text, found, is_legacy)
    statements = [each for each in _parse(text, found) if not isinstance(each, exp.Semicolon | None)]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise InvalidArgument("the query is empty" if not statements else _ONLY)
    tree = statements[0]
    _check_nodes(tree)
    if is_legacy:
        _refuse_unions(tree)
    return tree


def unbracket(text: str) -> str:
    """``[project:dataset.table]`` of legacy SQL becomes `` `project.dataset.table` ``, as long as before. GoogleSQL has
    no bracket where a table stands."""
    opaque = [match.span() for match in _OPAQUE.finditer(text)]

    def replace(match: re.Match[str]) -> str:
        is_inside = any(start <= match.start() < end for start, end in opaque)
        if is_inside or not _FROM.search(_blank(text[max(0, match.start() - 2000) : match.start()])):
            return match[0]
        project, _, rest = match[1].rpartition(":")
        return f"`{project}.{rest}`" if project else f"`{rest}`"

    return _BRACKETED.sub(replace, text)


def _blank(text: str) -> str:
    """Without comments."""
    return _OPAQUE.sub(lambda match: match[0] if match[0][0] not in "-#/" else " ", text)


def _tokenize(text: str) -> list[Token]:
    try:
        return BigQuery().tokenize(text)
    except (TokenError, RecursionError):
        raise InvalidArgument("Syntax error: a text, a name or a comment in the query has no end") from None


def _check_calls(text: str, found: Sequence[Token], is_legacy: bool) -> None:
    """Raises InvalidArgument for a function that is none of the allowed ones."""
    before: Token | None = None
    for token, following in pairwise(found):
        if following.token_type is TokenType.L_PAREN and _names(text, token):
            name = token.text.upper()
            if is_legacy and name in LEGACY:
                token.text = name = LEGACY[name]
            is_quoted = token.token_type is TokenType.IDENTIFIER
            is_below = before is not None and before.token_type is TokenType.DOT
            is_window = name not in ALLOWED and before is not None and before.text.upper() == "OVER"
            if is_quoted or is_below or (name not in ALLOWED and not is_window):
                raise _at(text, token.start, f"Function not found: {token.text[:100]}")
        before = token


def _names(text: str, token: Token) -> bool:
    """Whether it may be the name of a function: a word, or a quoted name, but no text."""
    raw = text[token.start : token.end + 1]
    return token.token_type is TokenType.IDENTIFIER or _WORD.fullmatch(raw) is not None


def _parse(text: str, found: list[Token]) -> list[exp.Expr | None]:
    try:
        return BigQuery().parser().parse(found, text)
    except ParseError as error:
        raise _tell(error) from None
    except RecursionError:
        raise InvalidArgument("Syntax error: parentheses are nested too deeply") from None
    except (SqlglotError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        raise InvalidArgument("Syntax error: the query cannot be read") from None


def _tell(error: ParseError) -> InvalidArgument:
    first = error.errors[0] if error.errors else {}
    line, word = first.get("line"), str(first.get("highlight") or "")
    if not line:
        return InvalidArgument("Syntax error: the query cannot be read")
    column = max(1, int(first.get("col") or 1) - len(word) + 1)
    near = f": unexpected {word[:60]!r}, or something is missing around it" if word else ""
    return InvalidArgument(f"Syntax error{near} at [{line}:{column}]")


def _check_nodes(tree: exp.Query) -> None:
    for node in tree.walk():
        if isinstance(node, _WRITES):
            raise InvalidArgument(_ONLY)
        for kind, words in _REFUSED:
            if isinstance(node, kind):
                raise InvalidArgument(f"{words} cannot be used here")
        if isinstance(node, exp.Limit) and not isinstance(node.parent, exp.Query):
            raise InvalidArgument("LIMIT inside of a function cannot be used here")
        if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Func):
            raise InvalidArgument("Function not found: a function has no name with a dot")


def _refuse_unions(tree: exp.Query) -> None:
    """In legacy SQL a comma between tables is UNION ALL."""
    for join in tree.find_all(exp.Join):
        if isinstance(join.this, exp.Table) and join.args.get("kind") == "CROSS":
            raise InvalidArgument(
                "in legacy SQL a comma between tables is a union: write UNION ALL, or CROSS JOIN, in GoogleSQL instead"
            )


def place_of(text: str, offset: int) -> str:
    """``line:column``, from 1 on."""
    before = text[:offset]
    return f"{before.count(chr(10)) + 1}:{offset - (before.rfind(chr(10)) + 1) + 1}"


def _at(text: str, offset: int, what: str) -> InvalidArgument:
    return InvalidArgument(f"{what} at [{place_of(text, offset)}]")


def find_places(tree: exp.Query, text: str, name: str) -> Iterator[str]:
    """Where a name stands in the text."""
    for node in tree.find_all(exp.Identifier):
        if node.name.lower() == name.lower() and "start" in node.meta:
            yield place_of(text, node.meta["start"])
