"""Alembic's entry: run the migrations on the URL that the index was opened with."""

from alembic import context
from sqlalchemy import create_engine

from gantry.index.tables import metadata

engine = create_engine(context.config.get_main_option("sqlalchemy.url", ""))
with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
engine.dispose()
