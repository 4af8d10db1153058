"""Browsers that have signed in."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "session",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("members", TEXT, nullable=False),
        sa.Column("credential", TEXT, nullable=False),
        sa.Column("ends", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_session_ends", "session", ["ends"])
