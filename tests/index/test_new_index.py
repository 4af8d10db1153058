"""A new index is made at once, and is what all migrations would have made.

``GANTRY_WRITE_DOCS=1 ./run test tests/index/test_new_index.py`` writes schema.sql again, after a new migration.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

import gantry.index
from gantry.index.database import SCHEMA_VERSION, upgrade_schema
from gantry.index.new_index import make_tables
from gantry.index.sql import SqlIndex

SCHEMA = Path(gantry.index.__file__).parent / "schema.sql"
OWN = ("sqlite_", "study_text_")
"""What SQLite makes by itself."""

pytestmark = pytest.mark.sqlite("schema.sql is of SQLite")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "index.sqlite"
    upgrade_schema(make_url(f"sqlite:///{path}"), "a new index")
    if os.environ.get("GANTRY_WRITE_DOCS"):
        lines = [
            f"-- {SCHEMA_VERSION}",
            *("\n".join(map(str.rstrip, sql.splitlines())) for _, sql in describe(path)),
            "",
        ]
        SCHEMA.write_text("\n;\n".join(lines), encoding="utf-8")
    return path


def describe(path: Path) -> list[tuple[str, str]]:
    """Names and statements of all that was made."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    return [(name, sql) for name, sql in rows if not name.startswith(OWN)]


def read_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows; the mark of a generation is another one each time."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    return found | {"generation": [(id, len(mark), *rest) for id, mark, *rest in found["generation"]]}


def test_it_is_what_the_migrations_make(migrated: Path, tmp_path: Path) -> None:
    make_tables(make_url(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    assert _squeeze(describe(tmp_path / "index.sqlite")) == _squeeze(describe(migrated))
    assert {name: rows for name, rows in read_rows(tmp_path / "index.sqlite").items() if name != "sqlite_sequence"} == {
        name: rows for name, rows in read_rows(migrated).items() if name != "sqlite_sequence"
    }


def _squeeze(statements: list[tuple[str, str]]) -> dict[str, str]:
    return {name: " ".join(sql.split()) for name, sql in statements}


def test_it_is_of_the_newest_version() -> None:
    assert SCHEMA.read_text().partition("\n")[0] == f"-- {SCHEMA_VERSION}"


def test_an_older_one_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody forgets to write schema.sql after a migration."""
    from gantry.index import new_index
    from tests.faults.older import index_of_schema

    index_of_schema(tmp_path / "older.sqlite", "0012").close()
    older = [f"-- {'0012'}", *(sql for _, sql in describe(tmp_path / "older.sqlite")), ""]
    (tmp_path / "schema.sql").write_text("\n;\n".join(older))
    monkeypatch.setattr(new_index, "_SCHEMA", tmp_path / "schema.sql")
    SqlIndex(tmp_path / "index.sqlite").close()
    assert read_rows(tmp_path / "index.sqlite")["alembic_version"] == [(SCHEMA_VERSION,)]


def test_two_indices_have_two_marks(tmp_path: Path) -> None:
    marks = set()
    for name in "ab":
        make_tables(make_url(f"sqlite:///{tmp_path / name}"))
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            marks.add(connection.execute("SELECT mark FROM generation").fetchone()[0])
    assert len(marks) == 2


def test_what_is_interrupted_has_made_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry.index import new_index

    (tmp_path / "schema.sql").write_text(SCHEMA.read_text().replace("CREATE INDEX", "CREATE NONSENSE", 1))
    monkeypatch.setattr(new_index, "_SCHEMA", tmp_path / "schema.sql")
    with pytest.raises(Exception, match="NONSENSE"):
        make_tables(make_url(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    assert describe(tmp_path / "index.sqlite") == []
