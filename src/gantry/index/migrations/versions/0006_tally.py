"""How a store has grown, by day and storage class: of what is there, by the days on which it came."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("store_id", _ID, primary_key=True),
        sa.Column("storage_class", TEXT, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("instances", sa.BigInteger, nullable=False),
        sa.Column("blob_bytes", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO tally "
        "SELECT study.store_id, storage_class, instance.create_time / 86400000000, count(*), sum(size) "
        "FROM instance JOIN series ON series.id = instance.series_id JOIN study ON study.id = series.study_id "
        "GROUP BY 1, 2, 3"
    )
