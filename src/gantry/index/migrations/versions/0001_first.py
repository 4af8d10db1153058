"""First schema."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _resources()
    _instances()
    _operations()


def _resources() -> None:
    op.create_table(
        "dataset",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("dataset", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=False, server_default=""),
        sa.Column("kms_key_name", TEXT, nullable=False, server_default=""),
        sa.UniqueConstraint("project", "location", "dataset", name="dataset_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "dicom_store",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("settings", TEXT, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "dicom_store_name",
        "dicom_store",
        ["dataset_id", "store"],
        unique=True,
        sqlite_where=sa.text("deleted = 0"),
        postgresql_where=sa.text("NOT deleted"),
    )


def _instances() -> None:
    op.create_table(
        "study",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("store_id", _ID, sa.ForeignKey("dicom_store.id"), nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.UniqueConstraint("store_id", "study_instance_uid", name="study_uid"),
    )
    op.create_table(
        "series",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("study_id", _ID, sa.ForeignKey("study.id"), nullable=False),
        sa.Column("series_instance_uid", TEXT, nullable=False),
        sa.Column("instance_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("blob_bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("structured_bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.UniqueConstraint("study_id", "series_instance_uid", name="series_uid"),
    )
    op.create_table(
        "instance",
        sa.Column("series_id", _ID, sa.ForeignKey("series.id"), primary_key=True),
        sa.Column("sop_instance_uid", TEXT, primary_key=True),
        sa.Column("sop_class_uid", TEXT, nullable=False),
        sa.Column("transfer_syntax_uid", TEXT, nullable=False),
        sa.Column("blob_key", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("storage_class", TEXT, nullable=False),
        sa.Column("storage_class_update_time", sa.BigInteger, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _operations() -> None:
    op.create_table(
        "operation",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("dataset_id", _ID, nullable=False),
        sa.Column("store_id", _ID, nullable=False, server_default="0"),
        sa.Column("store", TEXT, nullable=False, server_default=""),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("method", TEXT, nullable=False),
        sa.Column("request", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("end_time", sa.BigInteger),
        sa.Column("listed", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("success", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("failure", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("checkpoint", sa.LargeBinary, nullable=False),
        sa.Column("blob_prefix", TEXT, nullable=False, server_default=""),
        sa.Column("runner", TEXT, nullable=False, server_default=""),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("error_code", sa.Integer),
        sa.Column("error_message", TEXT),
    )
    op.create_index("operation_dataset", "operation", ["dataset_id", "id"])
    op.create_index(
        "operation_end_time",
        "operation",
        ["end_time"],
        sqlite_where=sa.text("end_time IS NOT NULL"),
        postgresql_where=sa.text("end_time IS NOT NULL"),
    )
    op.create_index(
        "operation_open",
        "operation",
        ["id"],
        sqlite_where=sa.text("end_time IS NULL"),
        postgresql_where=sa.text("end_time IS NULL"),
    )
    op.create_table(
        "failure",
        sa.Column("operation_id", sa.BigInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("resource", TEXT, nullable=False),
        sa.Column("code", sa.Integer, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("failure_time", "failure", ["time", "operation_id", "seq"])
    op.create_table(
        "selection",
        sa.Column("operation_id", sa.BigInteger, primary_key=True),
        sa.Column("study_instance_uid", TEXT, primary_key=True),
        sa.Column("series_instance_uid", TEXT, primary_key=True),
        sa.Column("sop_instance_uid", TEXT, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table("garbage", sa.Column("blob_key", TEXT, primary_key=True), sqlite_with_rowid=False)
