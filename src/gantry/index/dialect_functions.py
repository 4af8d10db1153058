"""Functions and a table that PostgreSQL needs for what SQLite has by itself, or from Python.

They use nothing but what PostgreSQL has, so that an index on them can be made anew wherever a dump is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from unicodedata import normalize

from gantry.index.dialect import FOLD

_SPACES = "".join(chr(code) for code in range(1, 0x3001) if chr(code).isspace())
"""What ``str.strip`` takes away: the last one is the ideographic space."""
_CASED = 0x1F000
"""Behind the letters that have cases: the last ones are of Adlam."""
_FIRST_ACCENT, _LAST_ACCENT = 0x300, 0x36F  # as in ``matching``
_SURROGATES = range(0xD800, 0xE000)

# Groups of characters between wildcards, of which a bracket alone has more than one; see ``conditions``.
_RUNS = "regexp_split_to_table(replace(value, '[[]', '['), '[*?]')"
_TRIGRAMS = "SELECT DISTINCT substr({run}, place, 3) FROM {source} generate_series(1, length({run}) - 2) place"


def list_statements(fields: Sequence[str]) -> Iterator[str]:
    """``study_text`` with an index of trigrams, as FTS5 has them: each three characters, whatever they are."""
    yield _function(FOLD, _fold())
    yield _function("glob_pattern", _glob_pattern())
    yield _function("trigrams", f"ARRAY({_TRIGRAMS.format(run='value', source='')})", "text[]")
    of_runs = _TRIGRAMS.format(run="run", source=f"{_RUNS} run,")
    yield _function("pattern_trigrams", f"ARRAY({of_runs})", "text[]")
    columns = ", ".join(f'{name} text COLLATE "C" NOT NULL' for name in fields)
    yield f"CREATE TABLE study_text (rowid bigint PRIMARY KEY, {columns})"
    yield f"CREATE INDEX study_text_trigrams ON study_text USING gin ({', '.join(f'trigrams({f})' for f in fields)})"


def _function(name: str, result: str, kind: str = "text") -> str:
    head = f"CREATE FUNCTION {name}(value text) RETURNS {kind} LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE"
    return f"{head} AS $function$ SELECT {result} $function$"


def _glob_pattern() -> str:
    """A pattern of GLOB as one of LIKE."""
    changes = (("\\", "\\\\"), ("%", "\\%"), ("_", "\\_"), ("[[]", "["), ("*", "%"), ("?", "_"))
    return _replace("value", changes)


def _fold() -> str:
    """``matching.search_key``, for texts without spaces around them."""
    accents = f"[{chr(_FIRST_ACCENT)}-{chr(_LAST_ACCENT)}]"
    plain = f"normalize(regexp_replace(normalize(value, NFKD), '{accents}', '', 'g'), NFKC)"
    key = f"btrim({_casefold(plain)}, {_quote(_SPACES)})"
    own = "btrim(normalize(value, NFC), ' ')"
    return (
        'CASE WHEN octet_length(value) = length(value) THEN lower(value COLLATE "C") '
        f"ELSE coalesce(nullif({key}, ''), {own}) END"
    )


def _casefold(value: str) -> str:
    """``str.casefold``: one character for one by ``translate``, several for one after it."""
    single, several = [], []
    for code in range(_CASED):
        one = chr(code)
        if code in _SURROGATES or (key := one.casefold()) == one:
            continue
        if len(key) == 1:
            single.append((one, key))
        elif normalize("NFKC", one) == one:  # others are gone by then
            several.append((one, key))
    before, after = ("".join(each) for each in zip(*single, strict=True))
    return _replace(f"translate({value}, {_quote(before)}, {_quote(after)})", several)


def _replace(value: str, changes: Sequence[tuple[str, str]]) -> str:
    for before, after in changes:
        value = f"replace({value}, {_quote(before)}, {_quote(after)})"
    return value


def _quote(text: str) -> str:
    return "'" + re.sub("'", "''", text) + "'"
