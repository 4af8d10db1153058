"""How many bytes an operation has moved, and how many of its objects could be compared with no checksum.

What was done before is not known: operations that are there begin at 0.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    for name in ("transferred_bytes", "unchecked"):
        op.add_column("operation", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
