"""How many files an export has written: more than instances where frames are images. Of what was done before it is not
known: operations that are there begin at 0."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("operation", sa.Column("files", sa.BigInteger, nullable=False, server_default="0"))
