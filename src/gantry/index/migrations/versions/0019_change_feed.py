"""The change feed: what happened to the instances of each store. It begins empty."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0019"
down_revision = "0018"

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "change_pack",
        sa.Column("store_id", _Id, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("pending", _Id),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    is_pending = sa.text("pending IS NOT NULL")
    columns = ["store_id", "number"]
    op.create_index("change_pending", "change_pack", columns, sqlite_where=is_pending, postgresql_where=is_pending)
    op.create_table(
        "change_start",
        sa.Column("store_id", _Id, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "change_feed",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("era", TEXT, nullable=False),
    )
