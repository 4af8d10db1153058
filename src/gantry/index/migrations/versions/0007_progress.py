"""How far an operation had come at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "progress",
        sa.Column("operation_id", sa.BigInteger, primary_key=True),
        sa.Column("time", sa.BigInteger, primary_key=True),
        sa.Column("done", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
