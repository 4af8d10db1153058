"""Queries that try to reach what is no table of the caller, or to use more than they may."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
)
from gantry.query_seams import Parameter, Query
from gantry.storage.sql.engine import LocalQueries
from gantry.storage.sql.limits import QueryLimits
from gantry.storage.sql.running import Prepared
from tests.sql.tables import write_table

SECRET = "a-line-that-nobody-may-read"  # noqa: S105


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hidden-place")
    write_table(root, "p.d.t")
    (root / "elsewhere").mkdir()
    write_table(root / "elsewhere", "q.d.t")
    (root / "secret.csv").write_text(f"{SECRET}\n")
    return root


@pytest.fixture(scope="module")
def engine(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalQueries]:
    made = LocalQueries({"p": str(place), "q": str(place / "elsewhere")}, tmp_path_factory.mktemp("spills"))
    yield made
    made.close()


def ask(engine: LocalQueries, text: str, **more: Any) -> list[list[Any]]:
    with engine.run(Query(text, "p", ("p", "d"), may_read=lambda name: name == "p", **more)) as answer:
        return [row for batch in answer.batches for row in batch.read()]


FORBIDDEN = [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_csv_auto('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM read_parquet('{root}/elsewhere/d/t/*.parquet')",
    "SELECT * FROM parquet_scan('{file}')",
    "SELECT * FROM glob('{root}/*')",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM '{file}'",
    'SELECT * FROM "{file}"',
    "SELECT * FROM `{file}`",
    "SELECT * FROM `p.d.{file}`",
    "SELECT * FROM p.d.`../elsewhere/d/t`",
    "SELECT * FROM `p.d.t/../t`",
    "SELECT * FROM p.d.`t' UNION SELECT 1 --`",
    'SELECT * FROM p.d.`t" UNION SELECT 1 --`',
    "SELECT * FROM p.`..`.t",
    "SELECT * FROM p.elsewhere.d",
    "SELECT * FROM `p.d..gantry`",
    "SELECT * FROM `p.d.*`",
    "SELECT * FROM [p:d./etc/passwd]",
    "SELECT * FROM [p:d.t; DROP TABLE t]",
    "SELECT * FROM UNNEST(glob('{root}/*'))",
    "SELECT getenv('HOME')",
    "SELECT current_setting('temp_directory')",
    "SELECT `current_setting`('temp_directory')",
    "SELECT current_setting /* */ ('temp_directory')",
    "SELECT SAFE.current_setting('temp_directory')",
    "SELECT t.SUBSTR('x', 1) FROM t",
    "SELECT 'temp_directory'.current_setting()",
    "SELECT query('SELECT 1')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('{file}')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM duckdb_views",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pg_catalog.pg_views",
    "SELECT * FROM main._t0",
    "SELECT * FROM memory.main._t0",
    "SELECT * FROM _t0",
    "SELECT * FROM d.INFORMATION_SCHEMA.TABLES",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM system.information_schema.tables",
    "WITH sqlite_master AS (SELECT * FROM sqlite_master) SELECT * FROM sqlite_master",
    "WITH duckdb_views AS (SELECT 1 AS a), b AS (SELECT * FROM duckdb_settings) SELECT * FROM b",
    "SELECT filename FROM t",
    "SELECT file_row_number FROM t",
    "SELECT t.filename FROM t",
    "SELECT current_user",
    "SELECT @@version",
    "SELECT * FROM t; SELECT * FROM read_csv('{file}')",
    "SELECT 1; COPY (SELECT 1) TO '{root}/made.csv'",
    "COPY (SELECT 1) TO '{root}/made.csv'",
    "COPY t FROM '{file}'",
    "ATTACH '{root}/made.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "CALL pragma_version()",
    "EXPORT DATABASE '{root}'",
    "EXPORT DATA OPTIONS (uri = 'gs://b/x*.csv') AS SELECT 1",
    "CREATE TABLE p.d.x AS SELECT 1",
    "CREATE OR REPLACE TABLE p.d.t AS SELECT 1",
    "INSERT INTO p.d.t (Modality) VALUES ('x')",
    "UPDATE p.d.t SET Modality = 'x' WHERE TRUE",
    "DELETE FROM p.d.t WHERE TRUE",
    "MERGE p.d.t USING p.d.t b ON FALSE WHEN MATCHED THEN DELETE",
    "DROP TABLE p.d.t",
    "TRUNCATE TABLE p.d.t",
    "DECLARE x INT64",
    "BEGIN SELECT 1; END",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "CALL p.d.t()",
    "EXPLAIN SELECT 1",
    "DESCRIBE p.d.t",
    "SHOW TABLES",
    "TABLE t",
    "VALUES (1)",
    "SELECT * FROM (DESCRIBE p.d.t)",
    "SELECT * FROM (SHOW TABLES)",
    "SELECT * FROM (FROM duckdb_settings())",
    "SELECT * FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01'",
    "SELECT * FROM t PIVOT (COUNT(*) FOR Modality IN ('CT'))",
    "SELECT * FROM ML.PREDICT(MODEL p.d.m, TABLE p.d.t)",
    "SELECT * FROM EXTERNAL_QUERY('x', 'SELECT 1')",
    "SELECT COLUMNS('.*') FROM t",
    "SELECT 1 INTO x",
    "SELECT LIST_TRANSFORM([1], x -> x)",
    "SELECT x -> current_setting('home_directory')",
    "",
    " -- nothing",
    ";",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_a_query_names_nothing_but_tables(place: Path, tmp_path: Path, text: str) -> None:
    before = sorted(path for path in place.rglob("*"))
    request = {
        "text": text.format(file=place / "secret.csv", root=place),
        "legacy": False,
        "project": "p",
        "dataset": ["p", "d"],
        "parameters": [],
        "roots": {"p": str(place)},
        "denied": ["q"],
    }
    with pytest.raises((InvalidArgument, NotFound)) as caught:
        list(Prepared(request, QueryLimits(), str(tmp_path)).read())
    assert SECRET not in caught.value.message
    assert ".parquet" not in caught.value.message and "DuckDB" not in caught.value.message
    if "{" not in text:
        assert str(place) not in caught.value.message
    assert sorted(path for path in place.rglob("*")) == before


def test_texts_that_look_like_code_are_texts(engine: LocalQueries) -> None:
    text = r"""SELECT 'read_csv(\'/etc/passwd\')', "]'[p:d.t]", r'\'', '''a'b"c''', '\\', '--', '/*' FROM t LIMIT 1"""
    row = ask(engine, text)[0]
    assert row == ["read_csv('/etc/passwd')", "]'[p:d.t]", "\\'", "a'b\"c", "\\", "--", "/*"]
    odd = "'; DROP TABLE x; --\\\"'\x00\n"
    parameters = (Parameter("v", "STRING", odd), Parameter("w", "ARRAY<STRING>", [odd, None]))
    assert ask(engine, "SELECT @v, ARRAY_LENGTH(@w)", parameters=parameters) == [[odd, 2]]


def test_names_that_are_no_names(engine: LocalQueries) -> None:
    assert ask(engine, 'SELECT 1 AS `a"b`, 2 AS `select`') == [[1, 2]]
    with pytest.raises(InvalidArgument):
        ask(engine, "SELECT @v", parameters=(Parameter("v", "STRING) AS x, (SELECT 1", "1"),))


def test_tables_of_others_are_denied_whether_they_exist_or_not(engine: LocalQueries) -> None:
    said = set()
    for table in ("q.d.t", "q.d.missing", "q.missing.t"):
        with pytest.raises(PermissionDenied) as caught:
            ask(engine, f"SELECT COUNT(*) FROM {table}")
        said.add(caught.value.message.replace(table.replace("q.", "q:", 1), "TABLE"))
    assert len(said) == 1
    assert ask(engine, "SELECT COUNT(*) FROM p.d.t") == [[6]]


def test_a_query_has_no_environment(engine: LocalQueries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_SECRET", SECRET)
    fresh = LocalQueries(engine.roots, engine.directory)
    with fresh.run(Query("SELECT 1", "p")) as answer:
        assert answer.fields[0].name == "f0_"
        names = [entry for entry in os.listdir("/proc") if entry.isdigit()]
        ours = []
        for pid in names:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"gantry.storage.sql.process" in command:
                    ours.append(Path(f"/proc/{pid}/environ").read_bytes())
            except OSError:
                continue
    fresh.close()
    assert ours and not any(SECRET.encode() in environ for environ in ours)


SMALL = QueryLimits(seconds=8, megabytes=256, result_megabytes=8, threads=2)
BOMBS = [
    ("WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c", StatusError),
    ("WITH RECURSIVE c AS (SELECT 'x' AS n UNION ALL SELECT CONCAT(n, n) FROM c) SELECT MAX(n) FROM c", StatusError),
    ("SELECT COUNT(*) FROM " + ", ".join(f"t a{n}" for n in range(15)), DeadlineExceeded),
    (
        "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 1000000)) a, UNNEST(GENERATE_ARRAY(1, 1000000)) b "
        "WHERE MOD(a * b, 7) = 3",
        DeadlineExceeded,
    ),
    ("SELECT ARRAY_AGG(a) FROM UNNEST(GENERATE_ARRAY(1, 1000000000)) a", StatusError),
    ("SELECT GENERATE_ARRAY(1, 100000000000)", StatusError),
    ("SELECT REPEAT('x', 4000000000)", StatusError),
    ("SELECT REPEAT(REPEAT('x', 100000000), 100000000)", StatusError),
    ("SELECT LENGTH(REPEAT(a, 1000000000)) FROM UNNEST(['x', 'y', 'z']) a", StatusError),
    ("SELECT LPAD('x', 4000000000)", StatusError),
    ("SELECT a, REPEAT('x', 1000) AS b FROM UNNEST(GENERATE_ARRAY(1, 1000000)) a", ResourceExhausted),
    ("SELECT a FROM UNNEST(GENERATE_ARRAY(1, 2000000)) a ORDER BY REPEAT(CAST(a AS STRING), 2000)", StatusError),
    ("SELECT STRING_AGG(REPEAT('x', 1000000)) FROM UNNEST(GENERATE_ARRAY(1, 100000)) a", StatusError),
    ("SELECT " + "(" * 20000 + "1" + ")" * 20000, InvalidArgument),
    ("SELECT " + "NOT " * 50000 + "TRUE", StatusError),
    ("SELECT " + "[" * 3000 + "]" * 3000, StatusError),
    ("SELECT 1" + "+1" * 200000, StatusError),
    ("SELECT 'x" + "a" * (1 << 20) + "'", InvalidArgument),
    ("SELECT " + ",".join(f"{n} AS c{n}" for n in range(60000)), StatusError),
    (" UNION ALL ".join(["SELECT 1"] * 30000), StatusError),
    ("SELECT REGEXP_CONTAINS('x', '(((a{1,1000}){1,1000}){1,1000})')", StatusError),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "error"), BOMBS, ids=[text[:50] for text, _ in BOMBS])
def test_a_bomb_ends_at_the_limits(engine: LocalQueries, tmp_path: Path, text: str, error: type[StatusError]) -> None:
    small = LocalQueries(engine.roots, tmp_path / "spills", SMALL)
    try:
        with pytest.raises(error) as caught:
            ask(small, text)
        assert str(tmp_path) not in caught.value.message
        assert ask(small, "SELECT 1") == [[1]]
    finally:
        small.close()
    assert os.listdir(tmp_path / "spills") == []


def test_regular_expressions_take_linear_time(engine: LocalQueries) -> None:
    assert ask(engine, "SELECT REGEXP_CONTAINS(REPEAT('a', 100000), r'^(a+)+$b')") == [[False]]


def test_the_check_ends_a_query(engine: LocalQueries) -> None:
    begun = time.monotonic()

    def check() -> None:
        if time.monotonic() - begun > 0.5:
            raise PermissionDenied("enough")

    text = "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 1000000)) a, UNNEST(GENERATE_ARRAY(1, 1000000)) b"
    with (
        pytest.raises(PermissionDenied, match="enough"),
        engine.run(Query(f"{text} WHERE MOD(a * b, 7) = 3", "p"), check) as answer,
    ):
        list(answer.batches)


def test_who_reads_slowly_holds_little(engine: LocalQueries) -> None:
    """Rows come as they are read; a query that nobody reads to its end is ended."""
    generous = LocalQueries(engine.roots, engine.directory, replace(engine.limits, result_megabytes=100_000))
    text = "SELECT a, REPEAT('x', 1000) AS b FROM UNNEST(GENERATE_ARRAY(1, 10000000)) a"
    with generous.run(Query(text, "p")) as answer:
        first = next(answer.batches)
    assert 500 < first.count < 2000 and first.read()[0][0] == 1
    generous.close()
