"""Which reader has described a study: those of an older one are described anew in the background."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("study", sa.Column("described_by", sa.Integer, nullable=False, server_default="0"))
    op.create_index("study_described_by", "study", ["described_by", "id"])
