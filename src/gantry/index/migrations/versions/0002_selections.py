"""Warnings in the error log; filter files as rows of series; numbers of series that are never used again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Of operations that are under way: what their paths name now.
_RESOLVED = """
INSERT INTO selection (operation_id, series_id, sop_instance_uid)
SELECT path.operation_id, series.id, path.sop_instance_uid FROM path
JOIN operation ON operation.id = path.operation_id
JOIN study ON study.store_id = operation.store_id AND study.study_instance_uid = path.study_instance_uid
JOIN series ON series.study_id = study.id
WHERE path.series_instance_uid = '' OR path.series_instance_uid = series.series_instance_uid
"""


def upgrade() -> None:
    op.add_column("failure", sa.Column("severity", sa.Integer, nullable=False, server_default="500"))
    op.rename_table("selection", "path")
    op.create_table(
        "selection",
        sa.Column("operation_id", sa.BigInteger, primary_key=True),
        sa.Column("series_id", sa.BigInteger, primary_key=True),
        sa.Column("sop_instance_uid", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.execute(_RESOLVED)
    op.drop_table("path")
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("series", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
