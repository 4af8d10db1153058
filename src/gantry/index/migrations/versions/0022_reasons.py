"""The reason of each entry of an error log, and of the error of an operation: a code of ``gantry.reasons``. Entries
that are there already have none: they are grouped by their code."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("failure", sa.Column("reason", TEXT, nullable=False, server_default=""))
    op.add_column("operation", sa.Column("error_reason", TEXT, nullable=False, server_default=""))
