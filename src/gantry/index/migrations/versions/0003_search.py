"""What searches look for and answer with; headers."""

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT
from gantry.index.dialect_functions import list_statements

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_STUDY = """
patient_name patient_id accession_number referring_physician_name study_date study_time study_description study_id
members more_members modalities
"""
_SERIES = "modality series_number series_description start_date members more_members"
_FIELDS = "patient_name, patient_id, accession_number, referring_physician_name, study_description"
_COUNTS = """
UPDATE study SET
 series_count = (SELECT count(*) FROM series WHERE series.study_id = study.id),
 instance_count = (SELECT coalesce(sum(instance_count), 0) FROM series WHERE series.study_id = study.id)
"""
_SIZES = """
UPDATE instance SET structured_size = (
 SELECT length(study_instance_uid) + length(series_instance_uid) FROM series
 JOIN study ON study.id = series.study_id WHERE series.id = instance.series_id
) + length(sop_instance_uid) + length(sop_class_uid) + length(transfer_syntax_uid)
"""


def upgrade() -> None:
    _new_columns()
    for index, table, columns in (
        ("study_date", "study", ["store_id", "study_date", "id"]),
        ("study_patient", "study", ["store_id", "patient_id"]),
        ("study_accession", "study", ["store_id", "accession_number"]),
        ("series_store_uid", "series", ["store_id", "series_instance_uid"]),
        ("series_modality", "series", ["store_id", "modality", "series_instance_uid"]),
    ):
        op.create_index(index, table, columns)
    where = sa.text("pack_number IS NULL")
    columns = ["series_id", "sop_instance_uid"]
    op.create_index("instance_undescribed", "instance", columns, sqlite_where=where, postgresql_where=where)
    _new_tables()
    op.execute("UPDATE series SET store_id = (SELECT store_id FROM study WHERE study.id = series.study_id)")
    op.execute(_COUNTS)
    op.execute(_SIZES)


def _new_columns() -> None:
    for table, names in (("study", _STUDY), ("series", _SERIES)):
        for name in names.split():
            op.add_column(table, sa.Column(name, TEXT, nullable=False, server_default=""))
    op.add_column("series", sa.Column("store_id", _ID, nullable=False, server_default="0"))
    for table, name in (("study", "series_count"), ("study", "instance_count"), ("instance", "structured_size")):
        op.add_column(table, sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    for name in ("instance_number", "number_of_frames"):
        op.add_column("instance", sa.Column(name, sa.BigInteger))
    for name in ("rows", "columns", "bits_allocated", "pack_number"):
        op.add_column("instance", sa.Column(name, sa.Integer))
    op.add_column("instance", sa.Column("pack_id", _ID))


def _new_tables() -> None:
    op.create_table(
        "study_term",
        sa.Column("store_id", _ID, primary_key=True),
        sa.Column("kind", sa.Integer, primary_key=True),
        sa.Column("term", TEXT, primary_key=True),
        sa.Column("study_id", _ID, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "study_modality",
        sa.Column("store_id", _ID, primary_key=True),
        sa.Column("modality", TEXT, primary_key=True),
        sa.Column("study_date", TEXT, primary_key=True),
        sa.Column("study_id", _ID, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "header_pack",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("header_pack_series", "header_pack", ["series_id"])
    op.create_table(
        "upload",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("store_id", _ID, nullable=False),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE VIRTUAL TABLE study_text USING fts5({_FIELDS}, tokenize = 'trigram case_sensitive 1')")
        return
    for statement in list_statements(_FIELDS.split(", ")):
        op.execute(sa.text(statement.replace(":", "\\:")))
