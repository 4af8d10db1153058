"""What shows whether an index and the blobs beside it belong together, and whether the index is an older one.

``generation``: a mark that the places of blobs have too, and how many transactions were written. ``generation_place``:
the places that have the mark. ``trail``: how far the clock has been followed, for the retention of operations.
"""

import secrets

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    made = op.create_table(
        "generation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mark", TEXT, nullable=False),
        sa.Column("commits", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("rebuilding", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table("generation_place", sa.Column("place", TEXT, primary_key=True), sqlite_with_rowid=False)
    op.create_table(
        "trail", sa.Column("id", sa.Integer, primary_key=True), sa.Column("time", sa.BigInteger, nullable=False)
    )
    op.bulk_insert(made, [{"id": 1, "mark": secrets.token_hex(16)}])
