"""Segments: objects that hold the bytes of several instances. Rows that are there keep objects of their own."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0011"
down_revision = "0010"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "segment",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("store_id", _ID, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("live_instances", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("live_bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("sealed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.UniqueConstraint("key", name="segment_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("segment_store", "segment", ["store_id"])
    # SQLite writes a column without a default into the schema alone: no row is read, however many there are.
    op.add_column("instance", sa.Column("segment_id", _ID))
    op.add_column("instance", sa.Column("segment_offset", sa.BigInteger))
