"""Several servers on one database: who is alive, and whose uploads are under way."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("upload", sa.Column("server", TEXT, nullable=False, server_default=""))
    op.create_table(
        "server",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("home", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("runs", sa.Boolean, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("state", TEXT, nullable=False, server_default="{}"),
        sqlite_with_rowid=False,
    )
