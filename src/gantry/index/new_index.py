"""The tables of a new index in SQLite, in one transaction: to run all migrations takes half of a first start.

``schema.sql`` has what the migrations make; ``tests/index/test_new_index.py`` compares both, and writes it again.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, text

_SCHEMA = Path(__file__).parent / "schema.sql"


def is_new(connection: Connection) -> bool:
    """Whether a database of SQLite has no tables at all."""
    return not connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one()


def make_tables(url: URL) -> None:
    """All of them or none. The index is of the version of ``schema.sql``, which migrations bring up to date where it
    is not the newest. Raises DatabaseError of SQLAlchemy."""
    version, *statements = _SCHEMA.read_text(encoding="utf-8").split("\n;\n")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver would begin none for tables
            for each in filter(str.strip, statements):
                connection.exec_driver_sql(each)
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (version.removeprefix("-- "),))
            connection.exec_driver_sql("INSERT INTO generation (id, mark) VALUES (1, ?)", (secrets.token_hex(16),))
            connection.commit()
    finally:
        engine.dispose()
