"""Alembic's entry: run the migrations on the URL that the index was opened with, all of them or none.

SQLite changes tables within a transaction, too; the driver would begin none for that by itself, and an upgrade that is
interrupted would leave a schema of no version.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event

from gantry.index.tables import metadata

engine = create_engine(context.config.attributes.get("url") or context.config.get_main_option("sqlalchemy.url", ""))


@event.listens_for(engine, "connect")
def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


@event.listens_for(engine, "begin")
def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
engine.dispose()
