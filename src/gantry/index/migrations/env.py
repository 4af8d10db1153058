"""Alembic's entry: run the migrations on the URL that the index was opened with, all of them or none.

Databases change tables within a transaction, too. SQLite's driver would begin none for that by itself, and an upgrade
that is interrupted would leave a schema of no version.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event

from gantry.index.all_tables import metadata
from gantry.index.dialect import SQLITE

engine = create_engine(context.config.attributes.get("url") or context.config.get_main_option("sqlalchemy.url", ""))


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


if engine.dialect.name == SQLITE:
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)

with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
engine.dispose()
