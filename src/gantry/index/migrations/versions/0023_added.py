"""Whether a table has rows of a store already: then its directory is not a new one. Of those that are there it is not
known until rows are added again."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("delivery", sa.Column("added", sa.BigInteger, nullable=False, server_default="0"))
