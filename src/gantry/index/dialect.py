"""Where SQLite and PostgreSQL differ: the words that all tables and queries use instead of those of one of them.

The functions of SQL that PostgreSQL lacks are made by ``dialect_functions``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, FunctionElement, String, Text, and_, false, func, literal_column, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

SQLITE, POSTGRESQL = "sqlite", "postgresql"

FOLD = "search_key"
"""A function of SQL in both: the key of a text (see ``matching``). SQLite's takes its bytes in UTF-8."""

TEXT = Text().with_variant(Text(collation="C"), POSTGRESQL)
"""Ordered and compared by the bytes of its UTF-8, whatever the collation of the database is."""

KEY_CHARACTERS = 500
"""Of a long text in a key of an index: a B-tree of PostgreSQL takes a third of a page, 2,704 bytes
(postgresql.org/docs/current/btree.html), and a character has up to four."""

FALSE = false()
"""The default of a flag."""

upsert = insert
"""INSERT … ON CONFLICT: PostgreSQL's own is compiled for SQLite as well, and not the other way round."""


class _Value(FunctionElement[Any]):
    """A word for values; each has its text for SQLite, and one for PostgreSQL."""

    inherit_cache = True


class greatest(_Value):
    """The larger of two numbers, neither of which is NULL."""

    inherit_cache = True


class position(_Value):
    """Where in a text another one begins, from 1 on; 0 where it is not in it."""

    inherit_cache = True


class folded(_Value):
    """A text as ``search_key`` folds it."""

    type = String()
    inherit_cache = True


class glob(_Value):
    """Whether a text is like a pattern with ``*``, ``?`` and ``[[]``."""

    inherit_cache = True


class contains(_Value):
    """Whether a text has another one in it, whatever the case of its ASCII letters."""

    inherit_cache = True


class likely(_Value):
    """A condition that PostgreSQL should not take for rare: it knows nothing of it, and would read and sort all rows in
    the hope of a few instead of reading them in the order of the answer."""

    inherit_cache = True


class _WithoutIndex(_Value):
    """(column with something that changes nothing, column)"""

    inherit_cache = True


def without_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column that SQLite, which knows nothing of how rare a value is, does not look up in an index of it: a sum or a
    concatenation keeps it from that. PostgreSQL has statistics."""
    nothing: Any = "" if isinstance(column.type, Text) else 0
    made = _WithoutIndex(column + nothing, column)
    made.type = column.type
    return made


class _Either(_Value):
    """(condition of SQLite, condition of PostgreSQL)"""

    inherit_cache = True


def cut_key(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A long text as an index of PostgreSQL has it."""
    return func.left(value, literal_column(str(KEY_CHARACTERS)))


def is_in_texts(
    column: ColumnElement[Any], values: ColumnElement[Any] | list[Any], starts: ColumnElement[Any] | list[Any]
) -> ColumnElement[bool]:
    """Whether a long text is one of ``values``; PostgreSQL finds it by ``starts``, what ``cut_key`` makes of them."""
    same: Any = column.in_(values)
    return _Either(same, and_(cut_key(column).in_(starts), likely(same)))


def is_between(column: ColumnElement[Any], low: ColumnElement[Any], high: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a long text is from ``low`` up to, not including, ``high``; PostgreSQL finds it by ``cut_key``."""
    same, cut = and_(column >= low, column < high), cut_key(column)
    return _Either(same, and_(cut >= cut_key(low), cut <= cut_key(high), likely(same)))


class begins_with_date(_Value):
    """Whether a text begins with eight digits."""

    inherit_cache = True


class is_time(_Value):
    """Whether a text begins with two digits, and has nothing but digits, points and backslashes."""

    inherit_cache = True


class has_trigrams(_Value):
    """Whether a column of ``study_text`` may be like a pattern: (column, question to FTS5, pattern)."""

    inherit_cache = True


def _say(kind: type[_Value], sqlite: str, postgresql: str) -> None:
    """``{0}`` and so on stand for what the word is about."""
    for dialect, words in ((SQLITE, sqlite), (POSTGRESQL, postgresql)):

        @compiles(kind, dialect)
        def _compile(element: _Value, compiler: SQLCompiler, _words: str = words, **options: Any) -> str:
            # Only what is said is compiled, so that nothing else is bound.
            said = [
                compiler.process(each, **options) if f"{{{number}}}" in _words else ""
                for number, each in enumerate(element.clauses)
            ]
            return _words.format(*said)


_say(greatest, "max({0}, {1})", "greatest({0}, {1})")
_say(position, "instr({0}, {1})", "strpos({0}, {1})")
# SQLite lowers ASCII alone, but three times as fast as Python: other texts have more bytes than characters.
_say(
    folded,
    f"CASE WHEN (length({{0}}) = length(CAST({{0}} AS BLOB))) THEN lower({{0}}) ELSE {FOLD}(CAST({{0}} AS BLOB)) END",
    f"CASE WHEN (octet_length({{0}}) = length({{0}})) THEN lower({{0}}) ELSE {FOLD}({{0}}) END",
)
_say(glob, "({0}) GLOB {1}", "(({0}) LIKE glob_pattern({1}))")
_say(contains, "(instr(lower({0}), lower({1})) > 0)", '(strpos(lower({0} COLLATE "C"), lower({1} COLLATE "C")) > 0)')
_say(likely, "({0})", "coalesce({0}, false)")
_say(_WithoutIndex, "{0}", "{1}")
_say(_Either, "{0}", "{1}")
_say(begins_with_date, f"({{0}}) GLOB '{'[0-9]' * 8}*'", "(({0}) ~ '^[0-9]{{8}}')")
_say(
    is_time,
    "({0} GLOB '[0-9][0-9]*' AND NOT {0} GLOB '*[^0-9.\\]*')",
    "({0} ~ '^[0-9][0-9][0-9.\\\\]*$')",
)
_say(has_trigrams, "study_text MATCH {1}", "(trigrams({0}) @> pattern_trigrams({2}))")


def is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == SQLITE


def raise_numbers(connection: Connection, table: str, above: int, far: int) -> None:
    """The next number of a table whose numbers are never used again is ``far`` beyond those before, and beyond
    ``above`` (sqlite.org/autoinc.html; PostgreSQL's sequences)."""
    values = {"name": table, "far": far, "above": above}
    if not is_sqlite(connection):
        last = f"SELECT setval('{table}_id_seq', greatest(last_value, :above) + :far) FROM {table}_id_seq"  # noqa: S608
        connection.execute(text(last), values)
        return
    raised = "UPDATE sqlite_sequence SET seq = max(seq, :above) + :far WHERE name = :name"
    if not connection.execute(text(raised), values).rowcount:
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :above + :far)"), values)
