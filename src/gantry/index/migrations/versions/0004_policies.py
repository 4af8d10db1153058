"""Who may do what: policies of projects, datasets and DICOM stores."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table in ("dataset", "dicom_store"):
        op.add_column(table, sa.Column("policy", TEXT, nullable=False, server_default=""))
    op.create_table("project", sa.Column("project", TEXT, primary_key=True), sa.Column("policy", TEXT, nullable=False))
