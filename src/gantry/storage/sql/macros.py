"""Functions of DuckDB's own that mean what GoogleSQL's mean, where its built-in ones do not. No query can name one."""

from __future__ import annotations

_IS_FLOAT = "typeof(x) IN ('DOUBLE', 'FLOAT')"
_IS_WHOLE = r"regexp_full_match(CAST(x AS VARCHAR), '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*')"
_NO_INTEGER = "CAST(concat('no INT64: ', x) AS BIGINT)"
"""An error. By ``error()`` a function would be volatile, which ORDER BY of a window refuses."""

_START = "CASE WHEN p = 0 OR p < -length(x) THEN 1 ELSE p END"
DIVISION_BY_ZERO, NEGATIVE = "division by zero", "a length must not be negative"
_COUNT = f"CASE WHEN n < 0 THEN CAST(concat('{NEGATIVE} ', n) AS BIGINT) ELSE n END"


def _to_integer(cast: str, otherwise: str) -> str:
    """Halves go away from zero, and text is no fraction."""
    return (
        f"CASE WHEN {_IS_FLOAT} THEN {cast}(round(TRY_CAST(x AS DOUBLE)) AS BIGINT) "
        f"WHEN typeof(x) = 'VARCHAR' AND NOT {_IS_WHOLE} THEN {otherwise} ELSE {cast}(x AS BIGINT) END"
    )


_MACROS = {
    "_int64(x)": _to_integer("CAST", _NO_INTEGER),
    "_try_int64(x)": _to_integer("TRY_CAST", "NULL"),
    "_string(x)": (
        rf"CASE WHEN {_IS_FLOAT} THEN regexp_replace(CAST(x AS VARCHAR), '\.0$', '') "
        "WHEN typeof(x) = 'BLOB' THEN decode(TRY_CAST(CAST(x AS VARCHAR) AS BLOB)) ELSE CAST(x AS VARCHAR) END"
    ),
    "_at(x, n)": "x[CASE WHEN n < 0 THEN NULL WHEN typeof(x) = 'JSON' THEN n ELSE n + 1 END]",
    "_count(n)": _COUNT,
    "_division_by_zero(x)": f"CAST(concat('{DIVISION_BY_ZERO} ', x) AS BIGINT)",
    "_substr(x, p)": f"substring(x, {_START})",
    "_substr_of(x, p, n)": f"substring(x, {_START}, {_COUNT})",
    "_week(x)": "CAST(strftime(x, '%U') AS BIGINT)",
    "_unix(x, n)": "(epoch_us(x) - ((epoch_us(x) % n) + n) % n) // n",
}

STATEMENTS = tuple(f"CREATE MACRO {head} AS {body}" for head, body in _MACROS.items())
