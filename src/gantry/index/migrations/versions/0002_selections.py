"""Warnings in the error log; filter files as rows of series; numbers of series that are never used again."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

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
    if not _is_sqlite():  # it has no rows of this age, and the key of a renamed table would keep its name
        op.drop_table("selection")
        _create_selection()
        return
    op.rename_table("selection", "path")
    _create_selection()
    op.execute(_RESOLVED)
    op.drop_table("path")
    with op.batch_alter_table("series", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
        pass


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def _create_selection() -> None:
    op.create_table(
        "selection",
        sa.Column("operation_id", sa.BigInteger, primary_key=True),
        sa.Column("series_id", sa.BigInteger, primary_key=True),
        sa.Column("sop_instance_uid", TEXT, primary_key=True),
        sqlite_with_rowid=False,
    )
