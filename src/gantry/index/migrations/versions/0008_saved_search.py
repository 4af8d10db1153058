"""Searches that people have given names."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0008"
down_revision = "0007"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "saved_search",
        sa.Column("store_id", _ID, primary_key=True),
        sa.Column("owner", TEXT, primary_key=True),
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("query", TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
