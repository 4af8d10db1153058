"""What rows are being added to a table, perhaps: their key and the place after them, so that they are not added twice
where the feed does not have all of them any more. Of what is being added now only the number is known."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("delivery", sa.Column("planned_key", TEXT, nullable=False, server_default=""))
    for name in ("end_number", "end_part", "end_offset", "end_check"):
        op.add_column("delivery", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
