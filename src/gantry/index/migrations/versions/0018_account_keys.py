"""Keys of service accounts and the secrets of tokens, which servers that share an index have in common."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "account_key",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("public_key", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "token_secret",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("secret", name="token_secret_once"),
    )
