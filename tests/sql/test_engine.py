"""What queries mean. They are translated and run here, without a process of their own, which takes most of the time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import InvalidArgument, StatusError
from gantry.storage.sql.limits import QueryLimits
from gantry.storage.sql.parsing import unbracket
from gantry.storage.sql.running import Prepared
from tests.sql.tables import make_row, write_table


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables")
    write_table(made, "p.d.t")
    write_table(made, "p.other.u")
    return made


def ask(root: Path, text: str, is_legacy: bool = False) -> list[list[Any]]:
    request = {
        "text": text,
        "legacy": is_legacy,
        "project": "p",
        "dataset": ["p", "d"],
        "parameters": [],
        "roots": {"p": str(root)},
        "denied": [],
    }
    batches = Prepared(request, QueryLimits(), str(root / "spills")).read()
    return [row for batch in batches for row in batch.read()]


def _read_meanings() -> list[tuple[str, list[list[Any]]]]:
    _, *parts = Path(__file__).with_name("meanings.txt").read_text(encoding="utf-8").split("\n\n")
    pairs = [part.rpartition("\n= ") for part in parts]
    return [(text, json.loads(rows)) for text, _, rows in pairs]


MEANINGS = _read_meanings()


@pytest.mark.parametrize(("text", "rows"), MEANINGS, ids=[text[:60] for text, _ in MEANINGS])
def test_a_query_means_what_it_means_in_bigquery(root: Path, text: str, rows: list[list[Any]]) -> None:
    assert ask(root, text) == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1 / 0", "division by zero"),
        ("SELECT MOD(1, 0)", "division by zero"),
        ("SELECT 5 / 0.0", "division by zero"),
        ("SELECT CAST('1.5' AS INT64)", "Bad value: 'no INT64: 1.5' cannot be converted"),
        ("SELECT SUBSTR('abc', 2, -1)", "a length must not be negative"),
        ("SELECT LEFT('abc', -1)", "a length must not be negative"),
        ("SELECT FORMAT('%t', 1)", "FORMAT takes a text with %d"),
        ("SELECT FORMAT_TIMESTAMP('%H', LastUpdated, 'Asia/Tokyo') FROM t", "only UTC can be the time zone"),
        ("SELECT PARSE_TIMESTAMP('%F', '2024-01-02', 'Asia/Tokyo')", "only UTC can be the time zone"),
        ("SELECT FORMAT_TIMESTAMP('%T %Z', LastUpdated) FROM t", "must be a text without %Z"),
        ("SELECT DATE_TRUNC(LastUpdated, HOUR) FROM t", "HOUR is no part of a DATE"),
        ("SELECT 'a' LIKE ANY (r'a\\_')", "LIKE ANY and LIKE ALL take texts without a backslash"),
        ("SELECT DATE_ADD(DATE '9999-12-31', INTERVAL 1 DAY)", "is beyond what dates and times can be"),
        ("SELECT TIME '24:00:00'", "is beyond what dates and times can be"),
        ("SELECT\n  Modalty FROM t", "Unrecognized name: Modalty at [2:3]"),
        ("SELECT x.Foo FROM t x", "Unrecognized name: Foo at [1:10]"),
        ("SELECT PatientName.Alphabetic.Foo FROM t", "Field name Foo does not exist in its record at [1:31]"),
        ("SELECT Modality, COUNT(*) FROM t", "Modality is neither grouped nor aggregated at [1:8]"),
        ("SELECT Modality, Modality FROM t", "Duplicate column names in the result"),
        ("SELECT CAST('x' AS INT64)", "Bad value: 'no INT64: x' cannot be converted"),
        ("SELECT CAST('x' AS FLOAT64)", "Bad value: 'x' cannot be converted"),
        ("SELECT\n\n (1", "Syntax error: "),
        ("SELECT 'x", "Syntax error: a text, a name or a comment in the query has no end"),
        ("SELECT\n NO_SUCH(1)", "Function not found: NO_SUCH at [2:2]"),
        ("SELECT * FROM u", "Not found: Table p:d.u"),
        ("SELECT STRING_AGG(Modality LIMIT 1) FROM t", "LIMIT inside of a function cannot be used here"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(root: Path, text: str, said: str) -> None:
    with pytest.raises(StatusError) as caught:
        ask(root, text)
    assert said in caught.value.message


def test_an_array_that_a_row_has_not_is_empty(tmp_path: Path) -> None:
    """In BigQuery no array in a table is NULL."""
    rows = [make_row(1), {name: value for name, value in make_row(2).items() if name not in ("ImageType", "Sequence")}]
    rows[0]["Sequence"] = [{"CodeValue": "c"}]
    write_table(tmp_path, "p.d.t", rows)
    for test, count in (
        ("ARRAY_LENGTH(ImageType) = 0", 1),
        ("ImageType IS NULL", 0),
        ("'PRIMARY' NOT IN UNNEST(ImageType)", 1),
        ("ARRAY_LENGTH(Sequence) = 0", 1),
        ("EXISTS (SELECT 1 FROM UNNEST(Sequence) s WHERE ARRAY_LENGTH(s.Codes) = 0)", 1),
    ):
        assert ask(tmp_path, f"SELECT COUNT(*) FROM t WHERE {test}") == [[count]], test


def test_legacy_sql(root: Path) -> None:
    assert ask(root, "SELECT COUNT(*) FROM [p:d.t] WHERE REGEXP_MATCH(Modality, 'C.')", is_legacy=True) == [[4]]
    with pytest.raises(InvalidArgument, match="in legacy SQL a comma between tables is a union"):
        ask(root, "SELECT COUNT(*) FROM [p:d.t], [p:other.u]", is_legacy=True)
    with pytest.raises(InvalidArgument, match="Function not found: REGEXP_MATCH"):
        ask(root, "SELECT REGEXP_MATCH(Modality, 'C.') FROM t")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("SELECT 1 FROM [p:d.t]", "SELECT 1 FROM `p.d.t`"),
        ("select 1 from\n -- [x:y.z]\n [d.t] JOIN [p:d.u]", "select 1 from\n -- [x:y.z]\n `d.t` JOIN `p.d.u`"),
        ("SELECT '[p:d.t]', \"FROM [p:d.t]\"", "SELECT '[p:d.t]', \"FROM [p:d.t]\""),
        ("SELECT x FROM UNNEST([a.b])", "SELECT x FROM UNNEST([a.b])"),
        ("SELECT 1 FROM [example.com:p:d.t]", "SELECT 1 FROM `example.com:p.d.t`"),
    ],
)
def test_brackets(text: str, made: str) -> None:
    assert unbracket(text) == made
