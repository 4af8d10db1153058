"""Deletion in pieces: what a series holds by storage class, and rows that stand for what was deleted from a store.

Points of progress and other rows of operations and stores that are gone go with them.
"""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0010"
down_revision = "0009"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("dicom_store", sa.Column("removed_from", _ID))
    op.create_table(
        "series_tally",
        sa.Column("series_id", _ID, primary_key=True),
        sa.Column("storage_class", TEXT, primary_key=True),
        sa.Column("instances", sa.BigInteger, nullable=False),
        sa.Column("blob_bytes", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO series_tally SELECT series_id, storage_class, count(*), sum(size) FROM instance GROUP BY 1, 2"
    )
    for table in ("progress", "failure", "selection"):
        op.execute(f"DELETE FROM {table} WHERE operation_id NOT IN (SELECT id FROM operation)")  # noqa: S608
    for table in ("tally", "saved_search"):
        op.execute(f"DELETE FROM {table} WHERE store_id NOT IN (SELECT id FROM dicom_store)")  # noqa: S608
